"""The figures of all orders are what a look at each order would say, whoever writes meanwhile."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Connection, text

from chassis.settings import DatabaseSettings
from chassis.storage import migrations
from chassis.storage.database import Database
from orders import statistics
from orders.allowed_transitions import STATUSES
from tests.support.answers import content

SCAN = "SELECT status, count(*), sum(total_amount) FROM orders GROUP BY status"
CHANGES = (
    "INSERT INTO orders (order_id, customer_id, total_amount) "
    "SELECT 'o' || gen_random_uuid(), 'c', round((random() * 1000)::numeric, 2) "
    "FROM generate_series(1, {some})",
    "UPDATE orders SET status = '{status}' WHERE id % 7 = {some}",
    "UPDATE orders SET total_amount = total_amount + 0.01 WHERE id % 5 = {some}",
    "UPDATE orders SET updated_at = now() WHERE id % 3 = {some}",
    "DELETE FROM orders WHERE id % 11 = {some}",
)


def scanned(connection: Connection) -> dict[str, Any]:
    """What going over all orders says, by status."""
    return {row[0]: (row[1], row[2]) for row in connection.execute(text(SCAN))}


def counted(connection: Connection) -> dict[str, Any]:
    """What the figures say of those that there are, by status."""
    by_status = statistics.stats(connection)["by_status"]
    return {s: (one["count"], one["amount"]) for s, one in by_status.items() if one["count"]}


def agree(database: Database) -> int:
    """Compare both in one state of the database; return how many orders there are."""
    with database.transaction() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        found = counted(connection)
        assert found == scanned(connection)
        return sum(count for count, _amount in found.values())


def change(database: Database, chance: random.Random) -> None:
    """Change some orders in a transaction, which may be rolled back."""
    statement = chance.choice(CHANGES)
    parts = {"some": chance.randint(1, 4), "status": chance.choice(STATUSES)}
    with database.transaction() as connection:
        # one writer of rows that exist at a time: in any order they would wait for each other
        connection.execute(text("SELECT pg_advisory_xact_lock(1)"))
        connection.execute(text(statement.format(**parts)))
        if chance.random() >= 0.8:
            connection.rollback()


def test_each_state_of_the_database_has_exact_figures_while_many_write_and_rows_are_added_up(
    orders_db: Database,
) -> None:
    done = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(100):
            change(orders_db, chance)

    def add_up() -> None:
        while not done.is_set():
            statistics.fold(orders_db)

    with ThreadPoolExecutor(3) as pool:
        adding = pool.submit(add_up)
        writers = [pool.submit(write, seed) for seed in range(2)]
        while not all(writer.done() for writer in writers):
            agree(orders_db)
        done.set()
        for work in (adding, *writers):
            work.result(60)
    agree(orders_db)


def test_inserts_at_once_do_not_wait_for_each_other(orders_db: Database) -> None:
    insert = text(
        "INSERT INTO orders (order_id, customer_id, total_amount) VALUES (:id, 'c', 1.10)"
    )
    with orders_db.transaction() as first, orders_db.transaction() as second:
        for number, connection in enumerate((first, second)):
            connection.execute(text("SET LOCAL lock_timeout = '5 s'"))
            connection.execute(insert, {"id": number})
        first.commit()
        second.commit()
    assert agree(orders_db) == 2


def test_folded_rows_are_few(orders_db: Database, orders: FlaskClient) -> None:
    with orders_db.autocommit() as connection:
        for number in range(50):
            connection.execute(
                text(
                    "INSERT INTO orders (order_id, customer_id, total_amount) VALUES (:n, 'c', 2)"
                ),
                {"n": str(number)},
            )
    statistics.fold(orders_db)
    with orders_db.autocommit() as connection:
        rows = connection.execute(text("SELECT count(*) FROM order_figures")).scalar_one()
    assert rows == 1
    said = content(orders.get("/api/orders/stats"))
    assert said["total"] == said["by_status"]["pending"] == {"count": 50, "amount": 100.0}


def test_stats_read_no_order(orders_db: Database, orders: FlaskClient) -> None:
    with orders_db.transaction() as connection:
        connection.execute(text("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"))
        assert orders.get("/api/orders/stats").status_code == 200


def test_orders_from_before_the_migration_are_counted(empty: DatabaseSettings) -> None:
    migrations.upgrade("orders", empty, "orders_0006")
    database = Database(empty, connections=1)
    with database.autocommit() as connection:
        for status in ("pending", "completed", "completed"):
            connection.execute(text(CHANGES[0].format(some=3)))
            connection.execute(text(f"UPDATE orders SET status = '{status}' WHERE id % 2 = 0"))
    migrations.upgrade("orders", empty)
    assert agree(database) == 9
    with database.autocommit() as connection:
        connection.execute(text("TRUNCATE orders CASCADE"))
    assert agree(database) == 0
    database.close()
