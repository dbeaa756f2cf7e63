"""A connection to a stack's RabbitMQ, as the services' user."""

import pika

from local.rabbitmq import RabbitMQ


def connect(rabbitmq: RabbitMQ, heartbeat: int | None = None) -> pika.BlockingConnection:
    """Connect; `heartbeat` in seconds, 0 for none, as the broker wants it if not given.

    Raises AMQPError when the broker does not let us in.
    """
    parameters = pika.ConnectionParameters(
        rabbitmq.host,
        rabbitmq.port,
        rabbitmq.vhost,
        pika.PlainCredentials(*rabbitmq.credentials),
        heartbeat=heartbeat,
        socket_timeout=5,
        blocked_connection_timeout=5,
    )
    return pika.BlockingConnection(parameters)
