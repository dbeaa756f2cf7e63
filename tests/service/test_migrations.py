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
from chassis import idempotency, migrations
from chassis.database import Database
from chassis.inbox import inbox
from chassis.outbox import outbox
from chassis.settings import DatabaseSettings

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
    with database.read() as connection:
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
    with opened.read() as connection:
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).all()
    assert len(versions) == 1


@pytest.mark.parametrize(
    ("service", "metadata"),
    [
        ("inventory", inventory.models.Base.metadata),
        ("billing", billing.models.Base.metadata),
        ("customers", customers.models.Base.metadata),
        ("customers", outbox.metadata),
        ("orders", orders.models.Base.metadata),
        *((service, outbox.metadata) for service in ("inventory", "billing", "orders")),
        *((service, inbox.metadata) for service in ("inventory", "billing", "orders")),
        ("orders", idempotency.keys.metadata),
        ("gateway", idempotency.keys.metadata),
        ("gateway", outbox.metadata),
        ("gateway", gateway.models.Base.metadata),
    ],
)
def test_the_code_describes_the_tables_as_they_are(
    service: str, metadata: MetaData, database_settings: Callable[[str], DatabaseSettings]
) -> None:
    database = Database(database_settings(service), connections=1)
    options = {
        "include_object": lambda _object, name, kind, *_: (
            name in metadata.tables if kind == "table" else kind == "column"
        ),
        "compare_type": True,
    }
    with database.read() as connection:
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
    with movies_db.read() as connection, pytest.raises(IntegrityError):
        connection.execute(text(f"INSERT INTO movies (title) VALUES {values}"))


@pytest.mark.parametrize(
    "values", ["('m', 'u', 0, 1)", "('m', 'u', 1, -0.01)", "(NULL, 'u', 1, 1)"]
)
def test_the_schema_itself_refuses_a_bill_that_is_none(billing_db: Database, values: str) -> None:
    with billing_db.read() as connection, pytest.raises(IntegrityError):
        connection.execute(text(f"INSERT INTO orders {BILL} VALUES {values}"))


def test_the_schema_itself_keeps_a_message_id_from_being_recorded_twice(
    billing_db: Database,
) -> None:
    statement = text(f"INSERT INTO orders {BILL} VALUES ('m', 'u', 1, 1)")
    with billing_db.read() as connection:
        connection.execute(statement)
        with pytest.raises(IntegrityError):
            connection.execute(statement)
