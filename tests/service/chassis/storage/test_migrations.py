"""Migrations: from nothing to what the models and the code expect."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, inspect, text
from sqlalchemy.exc import IntegrityError

import billing.models
import customers.models
import gateway.models
import inventory.models
import orders.models
from chassis.outbox.table import outbox
from chassis.outbox.waiting import Page, new_messages
from chassis.settings import DatabaseSettings
from chassis.storage import idempotency_keys, migrations
from chassis.storage.database import Database
from chassis.storage.inbox import inbox
from tools.stack.waiting import wait_until

SERVICES = ["gateway", "inventory", "billing", "customers", "orders"]


@pytest.fixture
def opened(empty: DatabaseSettings) -> Iterator[Database]:
    """The same database, to look into."""
    database = Database(empty, connections=1)
    yield database
    database.close()


def contents(database: Database) -> list[Any]:
    """All tables, columns and indexes."""
    statement = (
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'public' "
        "UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes "
        "WHERE schemaname = 'public' ORDER BY 1, 2, 3"
    )
    with database.autocommit() as connection:
        return list(connection.execute(text(statement)).all())


@pytest.mark.parametrize("service", SERVICES)
def test_migrating_a_second_time_changes_nothing(
    service: str, empty: DatabaseSettings, opened: Database
) -> None:
    migrations.upgrade(service, empty)
    before = contents(opened)
    assert before
    migrations.upgrade(service, empty)
    assert contents(opened) == before


@pytest.mark.parametrize("service", SERVICES)
def test_two_migrations_at_once_do_not_disturb_each_other(
    service: str, empty: DatabaseSettings, opened: Database
) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: migrations.upgrade(service, empty), range(2)))
    with opened.autocommit() as connection:
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).all()
    assert len(versions) == 1


@pytest.mark.parametrize(
    ("service", "metadata"),
    [
        ("inventory", inventory.models.metadata),
        ("billing", billing.models.metadata),
        ("customers", customers.models.metadata),
        ("customers", outbox.metadata),
        ("orders", orders.models.metadata),
        *((service, outbox.metadata) for service in ("inventory", "billing", "orders")),
        *((service, inbox.metadata) for service in ("inventory", "billing", "orders")),
        *(
            (service, idempotency_keys.keys.metadata)
            for service in ("inventory", "customers", "orders", "gateway")
        ),
        ("gateway", outbox.metadata),
        ("gateway", gateway.models.metadata),
    ],
)
def test_the_models_match_the_migrated_tables(
    service: str, metadata: MetaData, database_settings: Callable[[str], DatabaseSettings]
) -> None:
    database = Database(database_settings(service), connections=1)
    options = {
        "include_object": lambda _object, name, kind, *_: (
            name in metadata.tables if kind == "table" else kind == "column"
        ),
        "compare_type": True,
    }
    with database.autocommit() as connection:
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, metadata)
        existing = set(inspect(connection).get_table_names())
    database.close()
    assert set(metadata.tables) <= existing
    assert differences == []


BILL = "(message_id, user_id, number_of_items, total_amount)"


@pytest.mark.parametrize("values", ["(NULL)", "('')"])
def test_the_schema_itself_refuses_a_movie_without_a_title(
    movies_db: Database, values: str
) -> None:
    with movies_db.autocommit() as connection, pytest.raises(IntegrityError):
        connection.execute(text(f"INSERT INTO movies (title) VALUES {values}"))


@pytest.mark.parametrize(
    "values", ["('m', 'u', 0, 1)", "('m', 'u', 1, -0.01)", "(NULL, 'u', 1, 1)"]
)
def test_the_schema_itself_refuses_an_invalid_bill(billing_db: Database, values: str) -> None:
    with billing_db.autocommit() as connection, pytest.raises(IntegrityError):
        connection.execute(text(f"INSERT INTO orders {BILL} VALUES {values}"))


def test_the_schema_itself_keeps_a_message_id_from_being_recorded_twice(
    billing_db: Database,
) -> None:
    statement = text(f"INSERT INTO orders {BILL} VALUES ('m', 'u', 1, 1)")
    with billing_db.autocommit() as connection:
        connection.execute(statement)
        with pytest.raises(IntegrityError):
            connection.execute(statement)


COMPOSED, DECOMPOSED = "Am\u00e9lie", "Ame\u0301lie"
# in NFC each of these is three characters
GROWING = "\U0001d160" * 255


def upgraded(
    service: str, before: str, inserts: list[str], settings: DatabaseSettings, opened: Database
) -> Callable[[str], list[Any]]:
    """Fill a database of the version before, and migrate it; return what looks into it."""
    migrations.upgrade(service, settings, before)
    with opened.autocommit() as connection:
        for statement in inserts:
            connection.execute(text(statement), {"text": DECOMPOSED, "growing": GROWING})
    migrations.upgrade(service, settings)

    def look(query: str) -> list[Any]:
        with opened.autocommit() as connection:
            return list(connection.execute(text(query)).scalars())

    return look


@pytest.mark.parametrize(
    ("service", "before", "insert", "column"),
    [
        ("inventory", "inventory_0004", "movies (title) VALUES (:text)", "title"),
        ("inventory", "inventory_0004", "movies (title, description) VALUES ('x', :text)", ""),
        ("inventory", "inventory_0004", "products (name, price) VALUES (:text, 1)", "name"),
        ("customers", "customers_0001", "customers (name, email) VALUES (:text, 'a@b.fr')", "name"),
        ("billing", "billing_0003", f"orders {BILL} VALUES ('m', :text, 1, 1)", "user_id"),
    ],
)
def test_text_of_earlier_rows_is_found_in_nfc(
    service: str,
    before: str,
    insert: str,
    column: str,
    empty: DatabaseSettings,
    opened: Database,
) -> None:
    look = upgraded(service, before, [f"INSERT INTO {insert}"], empty, opened)
    table = insert.partition(" ")[0]
    assert look(f"SELECT {column or 'description'} FROM {table}") == [COMPOSED]


def test_text_that_does_not_fit_in_nfc_stays_unchanged(
    empty: DatabaseSettings, opened: Database
) -> None:
    insert = "INSERT INTO movies (title) VALUES (:growing)"
    look = upgraded("inventory", "inventory_0004", [insert], empty, opened)
    assert look("SELECT title FROM movies") == [GROWING]


def test_orders_whose_ids_are_equal_in_nfc_keep_one_of_them(
    empty: DatabaseSettings, opened: Database
) -> None:
    insert = "INSERT INTO orders (uid, order_id, customer_id, total_amount) VALUES "
    names = [
        # the first has it already; of the others, nobody has, and the first one gets it
        *("\u00e9", "e\u0301"),
        *("q\u0323\u0307", "q\u0307\u0323"),
        *("\u1e0b\u0323", "d\u0307\u0323"),
    ]
    inserts = [f"{insert} (gen_random_uuid(), '{name}', :text, 1)" for name in names]
    look = upgraded("orders", "orders_0004", inserts, empty, opened)
    assert look("SELECT order_id FROM orders ORDER BY id") == [
        *("\u00e9", "e\u0301"),
        *("q\u0323\u0307", "q\u0307\u0323"),
        *("\u1e0d\u0307", "d\u0307\u0323"),
    ]
    assert set(look("SELECT customer_id FROM orders")) == {COMPOSED}


def test_mails_from_before_take_turns_and_keep_no_address_once_they_are_sent(
    empty: DatabaseSettings, opened: Database
) -> None:
    uid = "5ae3ab9c-6ac9-4e0e-8b5c-5b1a0ac5b8a5"
    data = f'{{"uid": "{uid}", "order_id": "O", "email": "ben@kawa.fr", "total": 25.10}}'
    into = "INSERT INTO mails (order_uid, step, order_id, customer_id, data, headers, state, "
    rows = [
        f"{into} recipient) VALUES ('{uid}', 'created', 'O', '1', :data, '{{}}', 'waiting', 'a@b')",
        f"{into} recipient) VALUES ('{uid}', 'completed', 'O', '1', :data, '{{}}', "
        "'waiting', 'a@b')",
        f"{into} recipient) VALUES (gen_random_uuid(), 'created', 'O', '1', :data, '{{}}', "
        "'sent', 'a@b')",
    ]
    migrations.upgrade("orders", empty, "orders_0008")
    with opened.autocommit() as connection:
        for statement in rows:
            connection.execute(text(statement), {"data": data.encode()})
    migrations.upgrade("orders", empty)
    with opened.autocommit() as connection:
        found = connection.execute(text("SELECT * FROM mails ORDER BY id")).all()
    assert [(row.in_turn, row.recipient) for row in found] == [
        (True, "a@b"),
        (False, "a@b"),
        (True, None),
    ]
    assert b"ben@kawa.fr" in bytes(found[0].data)
    assert b"ben@kawa.fr" not in bytes(found[2].data)
    assert b"25.10" in bytes(found[2].data)


def test_each_revision_is_committed_by_itself_so_that_its_locks_end_with_it(
    empty: DatabaseSettings, opened: Database
) -> None:
    migrations.upgrade("orders", empty, "orders_0001")
    other = Database(empty, connections=1)

    def revision() -> str:
        with opened.autocommit() as connection:
            found: str = connection.execute(
                text("SELECT version_num FROM alembic_version")
            ).scalar_one()
        return found

    with ThreadPoolExecutor(1) as threads:
        with other.transaction() as connection:
            connection.execute(text("LOCK TABLE orders IN ACCESS SHARE MODE"))
            upgrade = threads.submit(migrations.upgrade, "orders", empty)
            # orders_0006 changes the table that is locked
            wait_until(lambda: revision() == "orders_0005", 30, "the revisions before it")
            assert not upgrade.done()
        upgrade.result(60)
    other.close()


@pytest.mark.parametrize(("status", "is_asked_for"), [("completed", True), ("cancelled", False)])
def test_orders_completed_before_the_migration_are_confirmed_and_stay_unchanged(
    status: str, is_asked_for: bool, empty: DatabaseSettings, opened: Database
) -> None:
    insert = (
        "INSERT INTO orders (order_id, customer_id, total_amount, status) "
        f"VALUES ('O', '1', 1, '{status}')"
    )
    look = upgraded("orders", "orders_0009", [insert], empty, opened)
    assert look("SELECT sweep_at FROM orders WHERE stock_sold_at IS NULL") == [None]
    assert look("SELECT after_id FROM unconfirmed_sales") == ([0] if is_asked_for else [])


@pytest.mark.parametrize(
    ("service", "before"),
    [
        ("gateway", "gateway_0004"),
        ("inventory", "inventory_0007"),
        ("billing", "billing_0004"),
        ("customers", "customers_0004"),
        ("orders", "orders_0010"),
    ],
)
def test_messages_that_waited_before_are_not_urgent_and_are_still_sent(
    service: str, before: str, empty: DatabaseSettings, opened: Database
) -> None:
    insert = (
        "INSERT INTO outbox (message_id, exchange, routing_key, content_type, mandatory, headers, "
        "body, aggregate) VALUES ('m', 'e', 'k', 't', false, '{}', '{}', 'a/1')"
    )
    upgraded(service, before, [insert], empty, opened)
    with opened.autocommit() as connection:
        [waiting] = new_messages(connection, Page(10, 1000), False)
        assert new_messages(connection, Page(10, 1000), True) == []
    assert (waiting.message.id, waiting.message.urgent) == ("m", False)
