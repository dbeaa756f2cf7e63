"""Connections to a RabbitMQ, as the services' user."""

import pika

from tools.stack.servers.rabbitmq import RabbitMQ


def connect(rabbitmq: RabbitMQ, heartbeat: int | None = None) -> pika.BlockingConnection:
    """Connect to a stack's broker; `heartbeat` is in seconds, 0 for none, None for the broker's.

    Raises AMQPError when the broker refuses.
    """
    address = rabbitmq.host, rabbitmq.port
    return connect_to(address, rabbitmq.vhost, rabbitmq.credentials, heartbeat)


def connect_to(
    address: tuple[str, int],
    vhost: str,
    credentials: tuple[str, str],
    heartbeat: int | None = None,
) -> pika.BlockingConnection:
    """Connect to the broker at a host and port, as `connect` does."""
    host, port = address
    parameters = pika.ConnectionParameters(
        host,
        port,
        vhost,
        pika.PlainCredentials(*credentials),
        heartbeat=heartbeat,
        socket_timeout=5,
        blocked_connection_timeout=5,
    )
    return pika.BlockingConnection(parameters)
