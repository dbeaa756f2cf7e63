"""A PostgreSQL that hangs: its machine acknowledges what arrives, and nothing is answered."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from chassis.settings import DatabaseSettings
from chassis.storage import database
from chassis.storage.database import Database
from chassis.storage.rows import streamed
from tests.support.databases import own_database
from tests.support.outages import frozen
from tools.stack.servers.postgres import Postgres

NUMBERS = text("SELECT * FROM generate_series(1, 5000) AS number")
LIMIT = 1.0


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[DatabaseSettings, Postgres]]:
    """A database of these tests' own."""
    with own_database("inventory") as lent:
        yield lent


@pytest.fixture
def hanging(
    own: tuple[DatabaseSettings, Postgres], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Database, Postgres]]:
    """A pool of one connection that waits a second for each answer, and its server."""
    monkeypatch.setattr(database, "ANSWER_SECONDS", LIMIT)
    with closing(Database(own[0], 1)) as pool:
        yield pool, own[1]


def execute(connection: Connection) -> Callable[[], object]:
    """Have a statement to execute."""
    connection.execute(text("SELECT 1"))
    return partial(connection.execute, text("SELECT 2"))


def commit(connection: Connection) -> Callable[[], object]:
    """Have a transaction to commit."""
    connection.execute(text("CREATE TEMPORARY TABLE t (id int)"))
    return connection.commit


def fetch(connection: Connection) -> Callable[[], object]:
    """Have rows to fetch."""
    lent = ExitStack()
    rows = lent.enter_context(streamed(connection, NUMBERS, 100, dict[str, int]))
    next(rows)

    def rest() -> None:
        with lent:
            list(rows)

    return rest


@pytest.mark.parametrize("begin", [execute, commit, fetch])
def test_a_call_waits_for_its_time_limit_and_then_counts_as_an_outage(
    begin: Callable[[Connection], Callable[[], object]], hanging: tuple[Database, Postgres]
) -> None:
    used, server = hanging
    with pytest.raises(OperationalError) as noticed, used.transaction() as connection:
        goes_on = begin(connection)
        with frozen(server):
            goes_on()
    assert database.is_outage(noticed.value)
    with used.transaction() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_connection_that_is_not_waited_on_is_left_alone(
    hanging: tuple[Database, Postgres],
) -> None:
    used, _server = hanging
    with used.transaction() as connection:
        first = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        end = time.monotonic() + 2 * LIMIT
        while time.monotonic() < end:
            assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == first
    with used.autocommit() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == first
