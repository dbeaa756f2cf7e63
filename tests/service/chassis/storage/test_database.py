"""A service's connections to its database: what they cost, and what they survive."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from chassis import trace
from chassis.settings import DatabaseSettings
from chassis.storage import after_commit
from chassis.storage.database import Database
from chassis.trace import Trace
from tests.support.servers import Logged

PID = text("SELECT pg_backend_pid()")


@pytest.fixture
def settings(database_settings: Callable[[str], DatabaseSettings]) -> DatabaseSettings:
    """Where inventory's database is."""
    return database_settings("inventory")


@pytest.fixture
def database(settings: DatabaseSettings) -> Iterator[Database]:
    """A pool of two connections."""
    database = Database(settings, connections=2)
    yield database
    database.close()


def end(settings: DatabaseSettings, *pids: int) -> None:
    """Have the server close these connections, and wait until it has."""
    password = settings.password.get_secret_value()
    connection = psycopg2.connect(
        host=settings.host,
        port=settings.port,
        dbname=settings.name,
        user=settings.user,
        password=password,
    )
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) pid", [list(pids)])
        assert cursor.fetchall() == [(True,)] * len(pids)


def backend(connection: Connection) -> int:
    """Who answers at the other end of a connection."""
    pid = connection.execute(PID).scalar_one()
    assert isinstance(pid, int)
    return pid


def test_connections_closed_by_the_server_fail_no_request(
    database: Database, settings: DatabaseSettings
) -> None:
    with database.autocommit() as one, database.transaction() as other:
        before = {backend(one), backend(other)}
    end(settings, *before)
    with database.transaction() as one, database.autocommit() as other:
        assert not before & {backend(one), backend(other)}


def test_a_connection_that_lives_is_used_again(database: Database) -> None:
    with database.autocommit() as connection:
        first = backend(connection)
    with database.transaction() as connection:
        assert backend(connection) == first


def test_a_connection_that_is_closed_while_it_is_lent_is_an_outage_and_then_replaced(
    database: Database, settings: DatabaseSettings
) -> None:
    with pytest.raises(OperationalError), database.autocommit() as connection:
        end(settings, backend(connection))
        connection.execute(PID)
    with database.autocommit() as connection:
        assert backend(connection)


def test_a_transaction_is_committed_and_rolled_back_on_an_exception(database: Database) -> None:
    with database.autocommit() as connection:
        backend(connection)
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE always (id int)"))
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute(text("CREATE TABLE never (id int)"))
        raise ZeroDivisionError
    with database.autocommit() as connection:
        assert connection.execute(text("SELECT to_regclass('always')")).scalar() == "always"
        assert connection.execute(text("SELECT to_regclass('never')")).scalar() is None
        connection.execute(text("DROP TABLE always"))


def test_a_statement_that_fails_leaves_a_connection_that_can_be_used(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.autocommit() as connection:
        backend(connection)
        raise ZeroDivisionError
    with database.transaction() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None and driver.autocommit is False
        assert backend(connection)


def test_text_is_read_as_it_was_written_whatever_encoding_others_set(
    settings: DatabaseSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with database.transaction() as connection:
        connection.execute(text("ALTER ROLE CURRENT_USER SET client_encoding = 'LATIN1'"))
    other = Database(settings, connections=1)
    try:
        with other.autocommit() as connection:
            assert connection.execute(text("SHOW client_encoding")).scalar_one() == "UTF8"
            assert connection.execute(text("SELECT U&'\\20AC\\6771'")).scalar_one() == "€東"
    finally:
        other.close()
        with database.transaction() as connection:
            connection.execute(text("ALTER ROLE CURRENT_USER RESET client_encoding"))


LOGGER = logging.getLogger(__name__)
# unlike other constraints, it is checked by COMMIT
ONCE = text("CREATE TEMP TABLE things (id int UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP")
MADE = text("INSERT INTO things VALUES (1)")


def test_what_a_transaction_has_changed_is_logged_after_its_commit_with_the_trace_of_the_change(
    database: Database, logged: Logged
) -> None:
    with database.transaction() as connection:
        with trace.within(Trace("the request", "0" * 32, "0" * 16)):
            after_commit.log(connection, LOGGER, "thing made", {"thing": 1})
        assert not logged()
    [line] = logged()
    assert (line["message"], line["thing"], line["request_id"]) == ("thing made", 1, "the request")


def test_nothing_is_logged_of_a_change_that_is_rolled_back(
    database: Database, logged: Logged
) -> None:
    with pytest.raises(IntegrityError), database.transaction() as connection:
        connection.execute(ONCE)
        for _ in range(2):
            connection.execute(MADE)
            after_commit.log(connection, LOGGER, "thing made", {})
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        after_commit.log(connection, LOGGER, "thing made", {})
        raise ZeroDivisionError
    with database.transaction():
        assert not logged()
    assert not logged()


def test_a_single_statement_is_its_own_commit(database: Database, logged: Logged) -> None:
    with database.autocommit() as connection:
        after_commit.log(connection, LOGGER, "thing made", {})
        assert [line["message"] for line in logged()] == ["thing made"]
