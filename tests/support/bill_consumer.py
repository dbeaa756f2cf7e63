"""A consumer of bills in a thread, with queries of its queue and its table."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from prometheus_client import REGISTRY
from sqlalchemy import text

from billing.handlers.bill_recorder import BillHandler
from billing.settings import Settings
from chassis.messaging.consumer import Consumer
from chassis.messaging.declarations import Queue
from chassis.storage.database import Database
from tests.support.amqp import channel_with_empty
from tests.support.at_work import at_work
from tools.stack.waiting import wait_until

QUEUE, DEAD = "billing_queue", "billing_queue.dlq"
GOOD = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}
# longer than several attempts to connect, of which each may take some seconds
SECONDS = 60.0


@pytest.fixture
def channel(billing_settings: Settings) -> Iterator[BlockingChannel]:
    """A channel beside the consumer's, with both queues empty."""
    with channel_with_empty(billing_settings.broker, QUEUE, DEAD) as channel:
        yield channel


@pytest.fixture
def consume(billing_settings: Settings) -> Iterator[Callable[[], threading.Event]]:
    """Start a consumer in a thread; its event stops it."""
    with ExitStack() as running:
        yield lambda: running.enter_context(at_work(partial(_consume, billing_settings)))


def _consume(settings: Settings, stop: threading.Event) -> None:
    database = Database(settings.database, connections=1)
    topology = [Queue(QUEUE), Queue(DEAD)]
    Consumer(settings.broker, "test consumer", topology, BillHandler(database), stop).run()
    database.close()


def post(channel: BlockingChannel, body: object, message_id: str | None = None) -> None:
    """Publish a message by hand, as another client would."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    channel.basic_publish("", QUEUE, data, pika.BasicProperties(message_id=message_id))


def in_hand() -> float:
    """How many messages the consumer was given and has not acknowledged yet."""
    return REGISTRY.get_sample_value("messages_in_flight", {"queue": QUEUE}) or 0.0


def waiting(channel: BlockingChannel, queue: str) -> int:
    """How many messages are ready in a queue; 0 if it does not answer at once."""
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def rows(database: Database) -> list[Any]:
    """All bills."""
    with database.autocommit() as connection:
        return list(connection.execute(text("SELECT * FROM orders ORDER BY id")))


def wait_for_rows(database: Database, count: int, seconds: float = SECONDS) -> None:
    """Wait until so many bills are recorded."""
    wait_until(lambda: len(rows(database)) >= count, seconds, f"{count} bills")


@pytest.fixture
def missing_table(billing_db: Database) -> Iterator[Callable[[], None]]:
    """Remove the table, as after a failed deployment; the returned call restores it."""
    _rename(billing_db, "orders", "orders_away")
    yield lambda: _rename(billing_db, "orders_away", "orders")
    _rename(billing_db, "orders_away", "orders")


def _rename(database: Database, name: str, other: str) -> None:
    with database.autocommit() as connection:
        connection.execute(text(f"ALTER TABLE IF EXISTS {name} RENAME TO {other}"))


def consumers(channel: BlockingChannel) -> int:
    """How many consumers the queue of bills has."""
    return int(channel.queue_declare(QUEUE, passive=True).method.consumer_count)
