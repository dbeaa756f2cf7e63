"""A connection to the tests' RabbitMQ, beside those of the processes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel

from chassis.messaging import broker, declarations
from chassis.settings import BrokerSettings


def connect(settings: BrokerSettings) -> pika.BlockingConnection:
    """Connect without heartbeats, which a test that waits would not answer."""
    [parameters] = broker.parameters(settings, "test")
    parameters.heartbeat = 0
    return pika.BlockingConnection(parameters)


@contextmanager
def channel_with_empty(settings: BrokerSettings, *queues: str) -> Iterator[BlockingChannel]:
    """Lend a channel with publisher confirms, once these queues exist and are empty."""
    with connect(settings) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for name in queues:
            channel.queue_declare(name, durable=True, arguments=declarations.QUORUM)
            channel.queue_purge(name)
        yield channel
