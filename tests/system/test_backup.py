"""Backup and restore of the whole platform: into a new one, and of one service that was lost."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from chassis.storage.sequences import SKIPPED
from tests.support.checkout import Checkout, started
from tests.support.stack.bills_client import Bills
from tests.support.stack.orders import Orders
from tools.stack.servers.databases import connect
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

SECONDS = 300
ROWS = {
    "inventory": "SELECT id, title FROM movies UNION ALL SELECT id, name FROM products",
    "customers": "SELECT id, email FROM customers",
    "billing": "SELECT id, message_id FROM orders",
    "orders": "SELECT id, uid::text FROM orders",
    "gateway": "SELECT id, uid::text FROM events",
}
UNFINISHED = "SELECT count(*) FROM orders WHERE status IN ('pending', 'processing')"


@pytest.fixture(scope="module")
def own() -> Iterator[Checkout]:
    """A stack of this module's own, which it purges; orders are repeated soon."""
    with started() as checkout:
        with (checkout.home / ".env").open("a") as env:
            env.write("ORDERS_RESEND_AFTER_SECONDS=2\n")
        checkout.start()
        yield checkout


def rows(stack: Stack) -> dict[str, list[tuple[int, str]]]:
    """What people have made, by service."""
    found = {}
    for service, statement in ROWS.items():
        with closing(connect(stack, service)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            found[service] = sorted(cursor.fetchall())
    return found


def make_movie(stack: Stack) -> int:
    """Post a movie; return its id."""
    answer = requests.post(f"{stack.url}/api/movies", json={"title": "The Matrix"}, timeout=20)
    assert answer.status_code == 201, answer.text
    made: int = answer.json()["id"]
    return made


def wait_until_recorded(bills: Bills) -> None:
    """Wait for every accepted bill to be recorded."""
    wait_until(lambda: bills.recorded() >= set(bills.accepted), 60, "the bills to be recorded")


def end(orders: Orders) -> None:
    """Wait until no order of orders_db is unfinished."""
    wait_until(lambda: orders.query("orders", UNFINISHED) == [(0,)], 90, "the orders to end")


def test_a_backup_is_restored_into_a_new_platform(own: Checkout, tmp_path: Path) -> None:
    stack, source = own.lent(), tmp_path / "monday"
    orders, bills = Orders(stack), Bills(stack)
    make_movie(stack)
    bills.post()
    wait_until_recorded(bills)
    product = orders.make_product(100)
    finished = orders.place((product, 1))
    orders.wait_for_status(finished, "completed")
    stack.process_manager.call("stop", "billing-consumer")
    unfinished = orders.place((product, 2))
    orders.wait_for_status(unfinished, "processing")
    before = rows(stack)
    said = own.stack("backup", str(source), seconds=SECONDS)
    assert "RabbitMQ's definitions" in said

    stack.process_manager.call("start", "billing-consumer")
    lost_movie = make_movie(stack)
    bills.post()
    lost_order = orders.place((product, 3))
    orders.wait_for_status(lost_order, "completed")
    own.stack("down", "--purge", seconds=SECONDS)
    own.start()
    said = own.stack("restore", str(source), seconds=SECONDS)
    assert "orders: 1 order is unfinished" in said
    assert all(re.search(rf"{service} .* as of 20\d\d-", said) for service in ROWS)

    stack = own.lent()
    found = rows(stack)
    # the bill of the unfinished order may have come already
    found["billing"] = [row for row in found["billing"] if row[0] < SKIPPED]
    assert found == before
    orders.stack = stack
    orders.url = f"{stack.url}/api/orders"
    # its bill waited in a queue that is lost, so it is requested again
    orders.wait_for_status(unfinished, "completed", 90)
    assert orders.get(finished)["status"] == "completed"
    assert make_movie(stack) > lost_movie
    bills = Bills(stack)
    bills.post()
    wait_until_recorded(bills)
    placed = orders.place((product, 1))
    assert placed["id"] > lost_order["id"]
    orders.wait_for_status(placed, "completed", 60)
    assert orders.query("inventory", "SELECT stock FROM products WHERE id = %s", product) == [(96,)]


def test_a_platform_with_data_is_refused_and_goes_on(own: Checkout, tmp_path: Path) -> None:
    stack, source = own.lent(), tmp_path / "tuesday"
    make_movie(stack)
    own.stack("backup", str(source), seconds=SECONDS)
    before = rows(stack)
    with pytest.raises(AssertionError, match=r"There are data already.*movies_db \(rows: .*movies"):
        own.stack("restore", str(source), seconds=SECONDS)
    assert rows(stack) == before
    assert make_movie(stack)


@pytest.mark.parametrize("lost", ["orders", "inventory", "billing"])
def test_orders_end_after_the_restore_of_one_service(
    own: Checkout, tmp_path: Path, lost: str
) -> None:
    stack, source = own.lent(), tmp_path / "wednesday"
    orders = Orders(stack)
    product = orders.make_product(100)
    orders.place((product, 1))
    end(orders)
    stack.process_manager.call("stop", "inventory-consumer", "billing-consumer")
    orders.place((product, 2))
    own.stack("backup", str(source), seconds=SECONDS)
    stack.process_manager.call("start", "inventory-consumer")
    orders.place((product, 3))
    for order in orders.placed[1:]:
        orders.wait_for_status(order, "processing")
    # what one service has now and the other does not know differs in each case
    if lost == "orders":
        stack.process_manager.call("start", "billing-consumer")
        end(orders)
    own.stack("restore", str(source), "--service", lost, "--replace", seconds=SECONDS)
    if lost != "orders":
        stack.process_manager.call("start", "billing-consumer")
    else:
        orders.placed.pop()
    end(orders)
    assert {orders.get(order)["status"] for order in orders.placed} == {"completed"}
    orders.placed.clear()
    later = orders.place((product, 1))
    orders.wait_for_status(later, "completed", 60)
