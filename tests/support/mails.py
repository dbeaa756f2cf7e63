"""A mail-worker in a thread, its queues, and its table of mails."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from chassis.messaging import declarations
from chassis.messaging.declarations import Binding, Queue
from chassis.storage.database import Database
from orders.mail import worker as mail_worker
from orders.settings import Settings
from tests.support.at_work import at_work
from tests.support.mailing import channel_of, eventually

QUEUE, DEAD = "mail_inbox", "mail_inbox.dlq"


@contextmanager
def channel_beside(settings: Settings) -> Iterator[BlockingChannel]:
    """Lend a channel beside the worker's, with its queues empty."""
    with channel_of(settings.broker) as channel:
        channel.exchange_declare("order_events", "topic", durable=True)
        for part in declarations.of_queue(QUEUE, settings.broker):
            if isinstance(part, Queue):
                channel.queue_declare(part.name, durable=True, arguments=declarations.QUORUM)
                channel.queue_purge(part.name)
            elif type(part) is Binding:
                channel.queue_bind(part.queue, part.exchange, part.routing_key)
        yield channel


def working(settings: Settings) -> AbstractContextManager[object]:
    """Run a mail-worker in a thread, for a block."""
    return at_work(partial(mail_worker.run, settings))


def rows(database: Database) -> list[Any]:
    """All mails of the table."""
    with database.autocommit() as connection:
        return list(connection.execute(text("SELECT * FROM mails ORDER BY id")))


def wait_for_states(database: Database, **states: int) -> None:
    """Wait until so many mails are in these states, and none in another."""
    eventually(lambda: Counter(row.state for row in rows(database)) == states, f"{states}")
