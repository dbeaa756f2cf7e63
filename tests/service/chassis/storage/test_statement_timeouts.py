"""A message that takes the database longer than a statement may, and what stands in its way."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pika
import pytest
from pika.channel import Channel
from sqlalchemy import Connection, text

from chassis.messaging import batch_processor
from chassis.messaging.batch_processor import TIMEOUTS, BatchProcessor
from chassis.messaging.crash_suspects import Suspects
from chassis.messaging.declarations import DIRECT
from chassis.messaging.delivery import Delivery
from chassis.messaging.event_handler import EventData, EventHandler, Reaction, ReceivedEvent
from chassis.settings import DatabaseSettings
from chassis.storage import database
from chassis.storage.database import Database
from tests.support.at_work import at_work
from tools.stack.waiting import wait_until

SECONDS = 60
LOCK = 815  # an advisory lock of this test


class Thing(EventData):
    """What an event is about."""

    about: str | None = None

    @property
    def aggregate(self) -> str | None:
        """The thing."""
        return self.about


class Worker:
    """A consumer's work without its broker.

    Attributes:
        tries: how often each message was begun.
        applied: the messages that were applied, in order.
        stop: tells it to stop.
    """

    def __init__(self, settings: DatabaseSettings, directory: Path) -> None:
        self.database = Database(settings, connections=1)
        self.tries: list[str] = []
        self.applied: list[str] = []
        self.stop = threading.Event()
        acts = {"fine": "SELECT 1", "slow": "SELECT pg_sleep(60)"}
        acts["locked"] = f"SELECT pg_advisory_xact_lock({LOCK})"
        reactions = {type: Reaction(DIRECT, Thing, self._act(sql)) for type, sql in acts.items()}
        handler = EventHandler(self.database, "test", reactions)
        self._work: BatchProcessor[ReceivedEvent]
        self._work = BatchProcessor("test-queue", handler, self.stop, Suspects(directory))

    def process(self, *types: str) -> list[str]:
        """Process a batch with one message of each type; return those that are refused."""
        refused = self._work.process([_delivery(type) for type in types])
        assert refused is not None
        return [json.loads(delivery.body)["id"] for delivery, _reason in refused]

    def process_due(self) -> list[str] | None:
        """Process the messages that wait for locks; None if there are none."""
        self._work.lock_waits._next_at = 0
        due = self._work.lock_waits.due()
        if not due:
            return None
        refused = self._work.process(due)
        assert refused is not None
        return [json.loads(delivery.body)["id"] for delivery, _reason in refused]

    def undecided(self) -> list[str]:
        """Return the messages of the last batch of which nothing is decided."""
        return [json.loads(delivery.body)["id"] for delivery in self._work.undecided]

    def undecided_now(self) -> int:
        """Count those of the batch under way that have failed alone."""
        return len(self._work._doubted)

    def _act(self, sql: str) -> Callable[[Connection, EventData, str], None]:
        def act(connection: Connection, _data: EventData, event_id: str) -> None:
            self.tries.append(event_id)
            connection.execute(text(sql))
            self.applied.append(event_id)

        return act


def _delivery(type: str) -> Delivery:
    kind, _number, about = (*type.split(), None, None)[:3]
    body = json.dumps({"id": type, "type": kind, "data": {"about": about}}).encode()
    return Delivery(
        cast(Channel, SimpleNamespace(is_open=True)), 1, body, pika.BasicProperties(headers={})
    )


@pytest.fixture
def worker(
    orders_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Worker]:
    """A consumer of a database that stops statements soon."""
    monkeypatch.setattr(batch_processor, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setitem(database._OPTIONS, "statement_timeout", 1000)
    monkeypatch.setitem(database._OPTIONS, "lock_timeout", 300)
    worker = Worker(database_settings("orders"), tmp_path)
    yield worker
    worker.database.close()


def test_a_message_that_always_takes_too_long_is_refused_and_stops_no_other(
    worker: Worker,
) -> None:
    assert worker.process("fine 1", "slow", "fine 2") == ["slow"]
    # once with the others, then alone, and once more when others have succeeded
    assert worker.tries.count("slow") == 1 + TIMEOUTS + 1
    assert worker.applied[-2:] == ["fine 1", "fine 2"]
    assert worker.process("fine 3") == []


SLOW = (
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$",
    "CREATE TRIGGER slow BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION slow()",
)


def test_a_database_that_is_slow_with_all_messages_counts_against_none(
    worker: Worker, orders_db: Database
) -> None:
    def execute(*statements: str) -> None:
        with orders_db.transaction() as connection:
            for statement in statements:
                connection.execute(text(statement))

    processed: list[list[str]] = []
    execute(*SLOW)
    try:
        assert worker.process("fine 1", "fine 2") == []
        assert worker.undecided() == ["fine 1", "fine 2"]
        with at_work(lambda _stop: processed.append(worker.process("fine 1", "fine 2", "fine 3"))):
            wait_until(lambda: worker.undecided_now() >= 1, SECONDS, "one to be doubted")
            execute("DROP FUNCTION slow CASCADE")
    finally:
        execute("DROP FUNCTION IF EXISTS slow CASCADE")
    assert (processed, worker.undecided()) == ([[]], [])
    assert sorted(worker.applied) == ["fine 1", "fine 2", "fine 3"]


def test_a_wait_for_a_lock_never_makes_a_dead_letter(worker: Worker, orders_db: Database) -> None:
    with orders_db.transaction() as holder:
        holder.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        assert worker.process("fine", "locked") == []
        for _ in range(2 * TIMEOUTS):
            assert worker.process_due() == []
        assert worker.tries.count("locked") > 2 * TIMEOUTS
        assert worker.applied[-1:] == ["fine"]
    assert worker.process_due() == []
    assert worker.applied[-1:] == ["locked"]
    assert worker.process_due() is None


def test_messages_of_the_same_aggregate_wait_behind_one_that_waits_for_a_lock(
    worker: Worker, orders_db: Database
) -> None:
    with orders_db.transaction() as holder:
        holder.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        assert worker.process("locked 1 a", "fine 2 a", "fine 3 b") == []
        assert worker.process("fine 4 a", "fine 5 b") == []
        assert set(worker.applied) == {"fine 3 b", "fine 5 b"}
    assert worker.process_due() == []
    assert worker.applied[-3:] == ["locked 1 a", "fine 2 a", "fine 4 a"]


def test_however_many_messages_wait_for_a_lock_each_has_its_turn(
    worker: Worker, orders_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_processor, "_MOST_LOCKED", 3)
    with orders_db.transaction() as holder:
        holder.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        locked = [f"locked {number}" for number in range(7)]
        assert worker.process(*locked, "fine") == []
        for _ in range(3):
            assert worker.process_due() == []
        assert worker.applied[-1:] == ["fine"]
        assert {*locked} <= {*worker.tries}
    assert worker.process_due() == []
    assert sorted(worker.applied[-7:]) == locked


def test_the_limit_for_locks_is_below_that_for_statements() -> None:
    assert database.LOCK_TIMEOUT < database.STATEMENT_TIMEOUT
