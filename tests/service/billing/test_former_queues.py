"""billing-consumer remembers how its queue was called before."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import text

from billing import former_queues
from chassis.storage.database import Database
from tests.support.at_work import at_work
from tests.support.databases import own_database
from tools.stack.waiting import wait_until


@pytest.fixture
def notes(billing_db: Database) -> Iterator[Database]:
    """billing_db without a noted queue."""
    yield billing_db
    with billing_db.transaction() as connection:
        connection.execute(text("DELETE FROM bill_queues"))


def note(database: Database, queue: str) -> list[str]:
    """Note a queue; its former names."""
    with database.transaction() as connection:
        former = former_queues.note(connection, queue)
        return former


def test_the_former_names_are_all_except_the_current_one(notes: Database) -> None:
    assert note(notes, "billing_queue") == []
    assert note(notes, "billing_queue") == []
    assert note(notes, "invoices") == ["billing_queue"]
    assert note(notes, "bills") == ["billing_queue", "invoices"]
    # changed back
    assert note(notes, "billing_queue") == ["bills", "invoices"]


def test_a_database_that_is_unavailable_is_waited_for() -> None:
    stop, found = threading.Event(), list[Sequence[str]]()
    with own_database("billing") as (settings, server):
        database = Database(settings, connections=1)
        note(database, "before")
        server.stop()
        with at_work(lambda _stop: former_queues.watch(database, "today", found.append, stop)):
            try:
                server.start()
                wait_until(lambda: bool(found), 60, "the former names")
            finally:
                stop.set()
        assert found == [["before"]]
        database.close()
