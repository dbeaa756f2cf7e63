"""NOTIFY behind a commit: listeners are woken by what has been committed, and by nothing else."""

import select
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from sqlalchemy import text

from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from chassis.settings import DatabaseSettings
from chassis.storage import after_commit
from chassis.storage.database import Database
from chassis.storage.notifier import Notifier
from tests.support.servers import Logged

SECONDS = 30.0
MESSAGE = Message(b"{}", "billing_queue")


@pytest.fixture
def listener(database_settings: Callable[[str], DatabaseSettings]) -> Iterator[Any]:
    """A connection that listens as a relay does."""
    settings = database_settings("billing")
    connection = psycopg2.connect(
        host=settings.host,
        port=settings.port,
        dbname=settings.name,
        user=settings.user,
        password=settings.password.get_secret_value(),
    )
    connection.autocommit = True
    with closing(connection):
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {outbox.CHANNEL}")
        yield connection


def notified(listener: Any, seconds: float) -> bool:
    """Whether a notification arrives within `seconds`."""
    if not listener.notifies and select.select([listener], [], [], seconds)[0]:
        listener.poll()
    found = bool(listener.notifies)
    listener.notifies.clear()
    return found


def is_silent(listener: Any) -> bool:
    """Whether none has come: an answer of the server comes behind all earlier notifications."""
    with listener.cursor() as cursor:
        cursor.execute("SELECT 1")
    return not notified(listener, 0)


def test_a_relay_is_woken_after_the_commit(billing_db: Database, listener: Any) -> None:
    with billing_db.transaction() as connection:
        outbox.add(connection, MESSAGE)
        outbox.add_all(connection, [MESSAGE, MESSAGE])
        assert is_silent(listener)
    assert notified(listener, SECONDS)


def test_a_rollback_wakes_nobody(billing_db: Database, listener: Any) -> None:
    with pytest.raises(ZeroDivisionError), billing_db.transaction() as connection:
        outbox.add(connection, MESSAGE)
        raise ZeroDivisionError
    assert is_silent(listener)


def test_a_transaction_without_messages_wakes_nobody(billing_db: Database, listener: Any) -> None:
    with billing_db.transaction() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE t ON COMMIT DROP AS SELECT 1"))
    assert is_silent(listener)


def test_a_message_added_in_autocommit_mode_wakes_at_once(
    billing_db: Database, listener: Any
) -> None:
    with billing_db.autocommit() as connection:
        outbox.add(connection, MESSAGE)
        assert notified(listener, SECONDS)


def test_the_last_of_many_commits_is_followed_by_a_notification(
    billing_db: Database, listener: Any
) -> None:
    def add(number: int) -> None:
        with billing_db.transaction() as connection:
            outbox.add(connection, MESSAGE)

    with ThreadPoolExecutor(8) as threads:
        for _round in range(20):
            list(threads.map(add, range(8)))
            assert notified(listener, SECONDS)
            # the others of this round, if they were not one
            is_silent(listener)


class Cursor:
    """A driver's connection and its cursor: a NOTIFY waits until the test lets it pass."""

    def __init__(self, error: Exception | None = None) -> None:
        self.statements: list[str] = []
        self.begun, self.may_pass = threading.Event(), threading.Event()
        self._error = error

    def cursor(self) -> "Cursor":
        return self

    def __enter__(self) -> "Cursor":
        return self

    def __exit__(self, *_error: object) -> None:
        """Do nothing."""

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        self.begun.set()
        assert self.may_pass.wait(SECONDS)
        if self._error is not None:
            raise self._error


def test_commits_during_a_notify_share_the_next_one() -> None:
    notifier, driver = Notifier(), Cursor()
    first = threading.Thread(target=notifier.send, args=(driver, {"outbox"}))
    first.start()
    assert driver.begun.wait(SECONDS)
    for _commit in range(5):
        notifier.send(driver, {"outbox"})
    driver.may_pass.set()
    first.join(SECONDS)
    assert driver.statements == ["NOTIFY outbox"] * 2


def test_a_failed_notify_fails_no_request_and_not_the_next_notify(logged: Logged) -> None:
    notifier = Notifier()
    broken, healthy = Cursor(psycopg2.OperationalError("gone")), Cursor()
    for driver in (broken, healthy):
        driver.may_pass.set()
        notifier.send(driver, {"outbox"})
    assert healthy.statements == ["NOTIFY outbox"]
    assert "listeners were not woken" in [line["message"] for line in logged()]


def test_what_follows_a_commit_is_noted_per_transaction(billing_db: Database) -> None:
    with billing_db.transaction() as connection:
        noted = after_commit.collect(connection)
        after_commit.notify(connection, "outbox")
        after_commit.notify(connection, "outbox")
    assert (noted.acts, noted.channels) == ([], {"outbox"})
