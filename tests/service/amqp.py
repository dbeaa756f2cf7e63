"""A connection to the tests' RabbitMQ, beside those of the processes."""

import pika

from chassis import broker
from chassis.settings import BrokerSettings


def connect(settings: BrokerSettings) -> pika.BlockingConnection:
    """Connect without heartbeats: a test that waits for something else answers none."""
    parameters = broker.parameters(settings, "test")
    parameters.heartbeat = 0
    return pika.BlockingConnection(parameters)
