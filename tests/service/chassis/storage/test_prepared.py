"""Queries that a connection prepares once: the same rows and errors as those of other queries."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    BIGINT,
    Column,
    DateTime,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    bindparam,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import DataError, DBAPIError, NotSupportedError, OperationalError

from chassis.storage import prepared
from chassis.storage.database import Database, is_lock_timeout
from chassis.storage.prepared import PreparedQuery, PreparedStatement
from chassis.storage.rows import rows

things = Table(
    "things",
    MetaData(),
    Column("id", BIGINT, primary_key=True),
    Column("name", String(20)),
    Column("price", Numeric(12, 2)),
    Column("uid", Uuid),
    Column("parts", JSONB),
    Column("tags", ARRAY(String)),
    Column("at", DateTime(timezone=True), server_default=func.now()),
)
QUERY = select(things).where(things.c.id >= bindparam("least"), things.c.name != bindparam("name"))
PREPARED = text("SELECT name FROM pg_prepared_statements ORDER BY 1")
PID = text("SELECT pg_backend_pid()")
made_stale = pytest.mark.parametrize(
    "change",
    ["DISCARD ALL", "ALTER TABLE things ALTER name TYPE text"],
    ids=["discarded", "altered"],
)


class Thing(TypedDict):
    """A row with a column of each type."""

    id: int
    name: str
    price: Decimal
    uid: UUID
    parts: dict[str, Any]
    tags: list[str]
    at: datetime


@pytest.fixture
def filled(movies_db: Database) -> Iterator[Database]:
    """A database with a table of two things."""
    with movies_db.transaction() as connection:
        things.create(connection)
        for number in (1, 2):
            parts, tags = {"a": [number, None]}, ["x", "%s"]
            values = {"id": number, "name": "é%", "price": Decimal("1.50"), "uid": uuid4()}
            connection.execute(things.insert().values(**values, parts=parts, tags=tags))
    yield movies_db
    with movies_db.transaction() as connection:
        things.drop(connection)


@pytest.fixture
def query() -> PreparedQuery[Thing]:
    """A query of things."""
    return PreparedQuery("things_from", QUERY)


def test_rows_are_those_of_the_query_without_preparation(
    filled: Database, query: PreparedQuery[Thing]
) -> None:
    for lent in (filled.autocommit, filled.transaction):
        with lent() as connection:
            parameters = {"least": 1, "name": "'; --"}
            found = query.rows(connection, **parameters)
            assert len(found) == 2
            assert found == rows(connection, QUERY, Thing, parameters)
            assert query.first(connection, **parameters) == found[0]
            assert query.first(connection, least=3, name="") is None


def test_a_connection_prepares_a_query_once(filled: Database, query: PreparedQuery[Thing]) -> None:
    with filled.autocommit() as connection:
        before = connection.execute(PREPARED).scalars().all()
        for _ in range(3):
            query.rows(connection, least=1, name="")
        [made] = set(connection.execute(PREPARED).scalars().all()) - set(before)
        assert made.startswith("things_from_")


@made_stale
def test_a_query_is_prepared_again_if_it_is_stale(
    filled: Database, query: PreparedQuery[Thing], change: str
) -> None:
    with filled.autocommit() as connection:
        before = query.rows(connection, least=1, name="")
        connection.execute(text(change))
        assert query.rows(connection, least=1, name="") == before


def test_a_stale_query_fails_one_transaction_alone(
    filled: Database, query: PreparedQuery[Thing]
) -> None:
    with filled.autocommit() as connection:
        before = query.rows(connection, least=1, name="")
        connection.execute(text("ALTER TABLE things ALTER name TYPE text"))
    with pytest.raises(NotSupportedError), filled.transaction() as connection:
        query.rows(connection, least=1, name="")
    with filled.transaction() as connection:
        assert query.rows(connection, least=1, name="") == before


@made_stale
def test_several_stale_statements_fail_one_transaction_together(
    filled: Database, query: PreparedQuery[Thing], change: str
) -> None:
    """A consumer that met one after the other would take its message for the one at fault."""
    values = {"ids": [1], "names": ["y"], "price": 2}
    with filled.autocommit() as connection:
        query.rows(connection, least=1, name="")
        CHANGE.execute(connection, values)
        connection.execute(text(change))
    with pytest.raises(DBAPIError), filled.transaction() as connection:
        query.rows(connection, least=1, name="")
    with filled.transaction() as connection:
        assert len(query.rows(connection, least=1, name="")) == 2
        assert len(CHANGE.execute(connection, values)) == 1


def test_errors_are_those_of_other_statements(
    filled: Database, query: PreparedQuery[Thing]
) -> None:
    with filled.autocommit() as connection:
        with pytest.raises(DataError) as wrong:
            query.rows(connection, least="no number", name="")
        assert not wrong.value.connection_invalidated
        assert len(query.rows(connection, least=1, name="")) == 2


def test_a_lost_connection_is_an_outage_and_is_replaced(
    filled: Database, query: PreparedQuery[Thing]
) -> None:
    with filled.autocommit() as connection:
        query.rows(connection, least=1, name="")
        pid = connection.execute(PID).scalar_one()
        with filled.autocommit() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(OperationalError) as lost:
            query.rows(connection, least=1, name="")
        assert lost.value.connection_invalidated
    with filled.autocommit() as connection:
        assert len(query.rows(connection, least=1, name="")) == 2


CHANGE = PreparedStatement(
    "change_things",
    """
    UPDATE things SET name = new.name
    FROM unnest(CAST(:ids AS bigint[]), CAST(:names AS text[])) AS new (id, name)
    WHERE things.id = new.id AND things.price < CAST(:price AS numeric)
    RETURNING things.id, things.name, things.uid, things.price
    """,
)


def changed(database: Database, names: list[str | None]) -> list[Any]:
    """Change the names of the first things, and return their ids and names."""
    values = {"ids": list(range(1, len(names) + 1)), "names": names, "price": Decimal(2)}
    with database.transaction() as connection:
        return sorted(row[:2] for row in CHANGE.execute(connection, values))


def test_a_change_takes_arrays_and_returns_its_rows(filled: Database) -> None:
    assert changed(filled, ["'; --", "%s é"]) == [(1, "'; --"), (2, "%s é")]
    assert changed(filled, [None]) == [(1, None)]
    assert changed(filled, []) == []
    with filled.transaction() as connection:
        values = {"ids": [1], "names": ["x"], "price": 2}
        [row] = CHANGE.execute(connection, values)
        assert isinstance(row[2], UUID) and row[3] == Decimal("1.50")


def test_a_change_without_rows_returns_none(filled: Database) -> None:
    statement = PreparedStatement("drop_thing", "DELETE FROM things WHERE id = CAST(:id AS bigint)")
    with filled.transaction() as connection:
        assert statement.execute(connection, {"id": 1}) == []
    assert changed(filled, ["a", "b"]) == [(2, "b")]


def test_a_plan_is_made_again_from_time_to_time(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled.autocommit() as connection:
        values = {"ids": [1], "names": ["x"], "price": 2}
        CHANGE.execute(connection, values)
        CHANGE.execute(connection, values)
        first = connection.execute(PREPARED).scalars().all()
        monkeypatch.setattr(prepared, "_PLAN_SECONDS", 0.0)
        CHANGE.execute(connection, values)
        second = connection.execute(PREPARED).scalars().all()
    ours = [
        [name for name in names if name.startswith("change_things")] for names in (first, second)
    ]
    assert len(ours[0]) == len(ours[1]) == 1 and ours[0] != ours[1]


def test_a_plan_that_waits_for_a_lock_leaves_the_one_before(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "_PLAN_SECONDS", 0.0)
    values = {"ids": [1], "names": ["y"], "price": 2}
    with filled.transaction() as other:
        # on another connection, the one that is lent below
        assert changed(filled, ["x"]) == [(1, "x")]
        other.execute(text("LOCK TABLE things"))
        # PREPARE waits as the statement itself would, each time for the same reason
        for _ in range(3):
            with pytest.raises(OperationalError) as failed, filled.transaction(0.05) as connection:
                CHANGE.execute(connection, values)
            assert is_lock_timeout(failed.value)
    assert changed(filled, ["z"]) == [(1, "z")]


def test_an_error_of_a_change_is_that_of_other_statements(filled: Database) -> None:
    with pytest.raises(DataError), filled.transaction() as connection:
        CHANGE.execute(connection, {"ids": [1], "names": ["x" * 21], "price": 2})
    assert changed(filled, ["y"]) == [(1, "y")]


def test_a_change_is_prepared_again_after_it_was_discarded(filled: Database) -> None:
    with filled.autocommit() as connection:
        CHANGE.execute(connection, {"ids": [1], "names": ["x"], "price": 2})
        connection.execute(text("DEALLOCATE ALL"))
        [row] = CHANGE.execute(connection, {"ids": [1], "names": ["z"], "price": 2})
    assert row[1] == "z"
