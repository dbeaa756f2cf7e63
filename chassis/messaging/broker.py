"""Connections to RabbitMQ: their parameters, and why one fails, in words for people."""

import time

import pika
from pika.exceptions import AMQPConnectionError, AMQPError

from chassis.cli import starts
from chassis.messaging import amqp_tables
from chassis.settings import BrokerSettings

# every module that opens a connection imports this one
amqp_tables.install()

HEARTBEAT = 10  # seconds; a dead peer is noticed within 30
CONNECT_TIMEOUT = 2  # seconds
DOWN = "RabbitMQ is down"


def now() -> int:
    """Return the time as AMQP properties carry it: whole seconds since 1970."""
    return int(time.time())


def why_down(reason: str, settings: BrokerSettings) -> str:
    """Return why there is no connection; a running RabbitMQ may refuse the login."""
    if "ACCESS_REFUSED - Login was refused" in reason:
        return f"RabbitMQ refuses the login of {settings.user}"
    if "NOT_ALLOWED" in reason and "vhost" in reason:
        return f"RabbitMQ has no vhost {settings.vhost} for {settings.user}"
    return DOWN


def root_cause(error: object) -> str:
    """Return the innermost of pika's nested errors as text, such as `connection refused`."""
    nested = (*getattr(error, "exceptions", ()), getattr(error, "exception", None))
    for inner in (*nested, *getattr(error, "args", ())):
        if isinstance(inner, Exception):
            return root_cause(inner)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def parameters(
    settings: BrokerSettings, name: str, blocked_timeout: float | None = None
) -> list[pika.ConnectionParameters]:
    """Return pika's parameters for each host, to be tried in this order.

    Args:
        settings: the hosts and the login.
        name: what the management UI shows for the connection.
        blocked_timeout: how long the broker may block this client before the connection ends.
    """
    password = settings.password.get_secret_value()
    return [
        pika.ConnectionParameters(
            host=host,
            port=settings.port,
            virtual_host=settings.vhost,
            credentials=pika.PlainCredentials(settings.user, password),
            heartbeat=HEARTBEAT,
            socket_timeout=CONNECT_TIMEOUT,
            stack_timeout=CONNECT_TIMEOUT * 2,
            connection_attempts=1,
            blocked_connection_timeout=blocked_timeout,
            client_properties={"connection_name": name},
        )
        for host in settings.hosts
    ]


def failure(error: AMQPError, settings: BrokerSettings) -> str:
    """Return in one sentence why RabbitMQ does not serve a command, and what to do."""
    reason = root_cause(error)
    if not isinstance(error, AMQPConnectionError):
        return f"RabbitMQ refuses: {reason}"
    down = why_down(reason, settings)
    if down != DOWN:
        return down
    place = " or ".join(f"{host}:{settings.port}" for host in settings.hosts)
    return f"RabbitMQ does not answer at {place} ({reason}): {starts('rabbitmq-server')}"
