"""A message that kills the process that handles it, among good ones, with the real consumer."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from billing.handlers.bill_recorder import BillHandler
from billing.settings import Settings, load
from chassis.messaging import batch_processor, consumer
from chassis.messaging.consumer import Consumer
from chassis.messaging.crash_suspects import Suspects
from chassis.messaging.declarations import Queue
from chassis.messaging.delivery import Delivery
from chassis.storage.database import Database
from tests.support.amqp import channel_with_empty
from tests.support.process import ROOT, environment
from tools.stack.waiting import wait_until

QUEUE, DEAD = "crashing_queue", "crashing_queue.dlq"
GOOD = {"user_id": "good", "number_of_items": 3, "total_amount": 99.97}
SECONDS = 90.0


class Crashing(BillHandler):
    """Records bills, and dies of some."""

    def apply(self, items: Any, lock_seconds: float | None = None) -> None:
        """Record bills, or take the process away without a word."""
        if any(item.bill.user_id == "crash" for item in items):
            os.kill(os.getpid(), signal.SIGKILL)
        super().apply(items, lock_seconds)


def main() -> None:
    """Be the consumer, with less patience than usual."""
    consumer.ALONE_ABOVE, batch_processor.DEATHS = 2, 2
    settings = load()
    handler = Crashing(Database(settings.database, connections=1))
    topology = [Queue(QUEUE), Queue(DEAD)]
    crashing = settings.broker.for_queue(QUEUE)
    Consumer(crashing, "crashing", topology, handler, threading.Event()).run()


@contextmanager
def restarted(variables: dict[str, str], deaths: list[int]) -> Iterator[None]:
    """Run the consumer, again whenever it dies, for a block."""
    stop = threading.Event()

    def keep() -> None:
        while not stop.is_set():
            command = [sys.executable, "-m", __name__]
            process = subprocess.Popen(command, cwd=ROOT, env=variables)
            while process.poll() is None and not stop.wait(0.05):
                pass
            process.kill()
            status = process.wait(10)
            if not stop.is_set():
                deaths.append(status)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


@pytest.fixture
def channel(billing_settings: Settings) -> Iterator[BlockingChannel]:
    """A channel beside the consumers', with both queues empty."""
    with channel_with_empty(billing_settings.broker, QUEUE, DEAD) as channel:
        yield channel


@pytest.mark.parametrize("consumers", [1, 2])
def test_of_two_hundred_messages_only_the_one_that_kills_the_consumer_is_dead_lettered(
    channel: BlockingChannel,
    billing_settings: Settings,
    billing_db: Database,
    tmp_path: Path,
    consumers: int,
) -> None:
    ids = [str(uuid4()) for _ in range(200)]
    crasher = ids[100]
    for message_id in ids:
        body = {**GOOD, "user_id": "crash" if message_id == crasher else "good"}
        properties = pika.BasicProperties(message_id=message_id)
        channel.basic_publish("", QUEUE, json.dumps(body).encode(), properties)
    variables = environment("billing", billing_settings, tmp_path)
    deaths: list[int] = []
    with ExitStack() as running:
        for _ in range(consumers):
            running.enter_context(restarted(variables, deaths))
        wait_until(lambda: waiting(channel, DEAD) > 0, SECONDS, "a dead letter")
        wait_until(lambda: len(recorded(billing_db)) >= 199, SECONDS, "the good bills")
        wait_until(lambda: waiting(channel, QUEUE) == 0, SECONDS, "an empty queue")
        notes = Suspects(tmp_path / "state" / "suspects" / f"queue-{QUEUE}")
        wait_until(lambda: not notes.any(), SECONDS, "no note")
    assert recorded(billing_db) == sorted(set(ids) - {crasher})
    assert waiting(channel, DEAD) == 1
    _method, dead, _body = channel.basic_get(DEAD, auto_ack=True)
    assert dead is not None and dead.message_id == crasher
    reason = (dead.headers or {})["x-dead-letter-reason"]
    assert "died 2 times with this message alone in hand" in reason
    assert set(deaths) == {-signal.SIGKILL}


def waiting(channel: BlockingChannel, queue: str) -> int:
    """How many messages are ready in a queue."""
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def recorded(database: Database) -> list[str]:
    """The message ids of all bills, in their order."""
    with database.autocommit() as connection:
        return sorted(connection.execute(text("SELECT message_id FROM orders")).scalars())


def delivery(
    body: bytes = b"x", redelivered: bool = True, headers: dict[str, Any] | None = None
) -> Delivery:
    """A message as it may come."""
    channel: Any = None
    properties = pika.BasicProperties(message_id="m", headers=headers)
    return Delivery(channel, 1, body, properties, redelivered)


@pytest.mark.parametrize(
    ("headers", "count"),
    [
        ({"x-delivery-count": 7}, 7),
        ({"x-acquired-count": 9}, 9),
        ({"x-delivery-count": 1, "x-acquired-count": 30}, 30),
        ({"x-delivery-count": "many"}, 0),
        ({}, 0),
    ],
)
def test_both_counters_of_a_broker_are_read(headers: dict[str, Any], count: int) -> None:
    assert delivery(headers=headers).earlier_deliveries == count
    assert delivery(redelivered=False, headers=headers).earlier_deliveries == 0


def test_a_suspect_mark_belongs_to_one_message_and_ends_with_it(tmp_path: Path) -> None:
    suspects, one, other = Suspects(tmp_path / "notes"), delivery(), delivery(b"y")
    assert not suspects.any()
    for _ in range(3):
        suspects.mark(one)
    assert (suspects.deaths(one), suspects.deaths(other)) == (3, 0)
    suspects.unmark(one)
    assert (suspects.deaths(one), suspects.any()) == (2, True)
    suspects.forget(one)
    suspects.mark(other)
    suspects.unmark(other)
    assert not suspects.any()


def test_notes_of_long_ago_count_no_more(tmp_path: Path) -> None:
    suspects = Suspects(tmp_path)
    suspects.mark(delivery())
    [note] = tmp_path.iterdir()
    os.utime(note, (time.time() - 8 * 24 * 3600,) * 2)
    assert not suspects.any()
    assert not list(tmp_path.iterdir())


if __name__ == "__main__":
    main()
