"""Connections that are kept between uses: how many there are, and in which state they are lent."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from chassis.settings import DatabaseSettings
from chassis.storage import after_commit, connections
from chassis.storage import database as storage
from chassis.storage.connections import _Kept
from chassis.storage.database import Database
from tools.stack.waiting import wait_until

PID = text("SELECT pg_backend_pid()")
STATE = text("SELECT pg_backend_pid(), now() = statement_timestamp()")


@pytest.fixture
def database(database_settings: Callable[[str], DatabaseSettings]) -> Iterator[Database]:
    """Two connections at most, to inventory's database."""
    database = Database(database_settings("inventory"), connections=2)
    yield database
    database.close()


def _backend(connection: Connection) -> int:
    pid: int = connection.execute(PID).scalar_one()
    return pid


def test_the_connection_that_was_used_last_is_used_first(database: Database) -> None:
    with database.autocommit(), database.transaction() as connection:
        last = _backend(connection)
    for lent in (database.autocommit, database.transaction, database.autocommit):
        with lent() as connection:
            # the inner one was given back before the outer one
            assert _backend(connection) != last


def test_no_more_connections_are_opened_than_allowed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database._kept, "_seconds", 0.1)
    with ExitStack() as held:
        for lent in (database.autocommit, database.transaction):
            held.enter_context(lent())
        for lent in (database.autocommit, database.transaction):
            with pytest.raises(PoolTimeoutError, match=r"within 0\.1 s"), lent():
                pass
    with database.autocommit() as one, database.autocommit() as other:
        assert _backend(one) != _backend(other)


def test_the_wait_for_a_connection_is_as_long_as_that_for_connecting(database: Database) -> None:
    assert database._kept._seconds == storage.CONNECT_TIMEOUT


def test_a_mode_does_not_outlast_its_use(database: Database) -> None:
    for _ in range(2):
        with database.autocommit() as connection:
            connection.execute(PID)
            assert connection.execute(STATE).one()[1]
        with database.transaction() as connection:
            connection.execute(PID)
            assert not connection.execute(STATE).one()[1]


def test_what_a_transaction_notes_does_not_outlast_it(database: Database) -> None:
    done: list[str] = []
    for number in range(2):
        with database.transaction() as connection:
            noted = after_commit._noted(connection)
            assert noted is not None
            assert not noted.acts
            noted.acts.append(partial(done.append, f"after {number}"))
        with database.autocommit() as connection:
            assert after_commit._noted(connection) is None
    assert done == ["after 0", "after 1"]


def test_a_read_on_a_closed_connection_gets_another(database: Database) -> None:
    with database.autocommit() as one, database.autocommit() as other:
        pid = _backend(one)
        stop = text("SELECT pg_terminate_backend(:pid, 5000)")
        assert other.execute(stop, {"pid": pid}).scalar_one()
    for _ in range(3):
        with database.autocommit() as one, database.autocommit() as other:
            assert pid not in (_backend(one), _backend(other))


def test_a_change_in_a_transaction_that_its_user_began_is_rolled_back(database: Database) -> None:
    with database._kept.lend(autocommit=False) as connection:
        connection.execute(text("CREATE TABLE left_open ()"))
    with database.autocommit() as connection:
        assert connection.execute(text("SELECT to_regclass('left_open')")).scalar_one() is None


def test_what_only_a_peak_needed_is_closed_after_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    with database.autocommit() as one, database.autocommit() as other:
        kept, closed = _backend(one), _backend(other)
    alive = text("SELECT array_agg(pid) FROM pg_stat_activity WHERE pid = ANY(:pids)")

    def is_closed() -> bool:
        with database.autocommit() as connection:
            found = connection.execute(alive, {"pids": [kept, closed]}).scalar_one()
            return bool(found == [_backend(connection)] == [kept])

    wait_until(is_closed, 20, "the connection that nobody uses to be closed")
    # its place is free again
    with database.autocommit() as one, database.autocommit() as other:
        assert _backend(one) == kept
        assert _backend(other) not in (kept, closed)


def test_a_transaction_does_not_fail_since_no_thread_can_be_had(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without_threads:
        without_threads.setattr(threading.Timer, "start", refuse)
        with database.transaction(), database.transaction():
            pass
    assert database._kept._timer is None
    with database.transaction(), database.transaction():
        pass
    assert database._kept._timer is not None


def test_after_a_lost_connection_the_others_are_replaced_as_well(database: Database) -> None:
    with database.autocommit() as one, database.autocommit() as other:
        before = {_backend(one), _backend(other)}
    with database.autocommit() as one:
        own = text("SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(OperationalError):
            one.execute(own)
    with database.autocommit() as one, database.autocommit() as other:
        assert not before & {_backend(one), _backend(other)}


def test_an_outage_that_several_threads_notice_at_once_stays_one(database: Database) -> None:
    class Raced(list[_Kept]):
        """Idle connections of which another thread takes the last just before this one."""

        def __bool__(self) -> bool:
            return True

    with pytest.raises(OperationalError), database.autocommit() as one:
        database._kept._idle = Raced()
        one.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    database._kept._idle = []
