"""RabbitMQ: its address, and what must be there before anything is published or consumed."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pika
from pika.channel import Channel

from chassis.messaging import amqp_tables
from chassis.settings import BrokerSettings

# whoever speaks to the broker knows this module
amqp_tables.install()

HEARTBEAT = 10  # seconds; a dead peer is noticed within 30
CONNECT_TIMEOUT = 2  # seconds
DECLARE_SECONDS = 60.0  # between declarations of what somebody may have removed meanwhile
QUORUM = {"x-queue-type": "quorum"}
DOWN = "RabbitMQ is down"


@dataclass(frozen=True)
class Message:
    """A message on its way to the broker; always persistent.

    Attributes:
        body: what is sent, JSON unless `content_type` says otherwise.
        routing_key: for the default exchange, the queue's name.
        exchange: empty for the default exchange.
        id: the same at each attempt to deliver it.
        headers: trace, and whatever a consumer needs besides the body.
        mandatory: whether a queue must be there to take it.
        urgent: whether an order waits for it: in an outbox it passes what no order waits for.
        properties: further ones of AMQP's, by pika's names, in place of our own. An outbox does
            not store them.
    """

    body: bytes
    routing_key: str
    exchange: str = ""
    id: str = field(default_factory=lambda: str(uuid4()))
    headers: Mapping[str, Any] = field(default_factory=dict)
    content_type: str = "application/json"
    mandatory: bool = True
    urgent: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def destination(self) -> str:
        """Where it goes, as logs and checks say it: a queue, or an exchange and the routing key."""
        return f"{self.exchange}/{self.routing_key}" if self.exchange else self.routing_key


@dataclass(frozen=True)
class Queue:
    """A durable quorum queue."""

    name: str

    def declare(self, channel: Channel, then: Callable[[], None]) -> None:
        """Declare it on the connection's own thread, then go on."""
        channel.queue_declare(
            self.name, durable=True, arguments=QUORUM, callback=lambda _frame: then()
        )


@dataclass(frozen=True)
class Exchange:
    """A durable exchange of kind `fanout` or `topic`."""

    name: str
    kind: str

    def declare(self, channel: Channel, then: Callable[[], None]) -> None:
        """Declare it on the connection's own thread, then go on."""
        channel.exchange_declare(self.name, self.kind, durable=True, callback=lambda _frame: then())


@dataclass(frozen=True)
class Binding:
    """What of an exchange a queue gets: all, unless `routing_key` says otherwise."""

    queue: str
    exchange: str
    routing_key: str = "#"

    def declare(self, channel: Channel, then: Callable[[], None]) -> None:
        """Declare it on the connection's own thread, then go on."""
        channel.queue_bind(
            self.queue, self.exchange, self.routing_key, callback=lambda _frame: then()
        )


@dataclass(frozen=True)
class FormerBinding(Binding):
    """What a queue got in an earlier version, and gets no more; it may be gone already."""

    def declare(self, channel: Channel, then: Callable[[], None]) -> None:
        """Remove it on the connection's own thread, then go on."""
        channel.queue_unbind(
            self.queue, self.exchange, self.routing_key, callback=lambda _frame: then()
        )


Topology = Iterable[Queue | Exchange | Binding]


def declare(topology: Topology, channel: Channel, then: Callable[[], None]) -> None:
    """Declare all of `topology`, one after the other, then go on; on the connection's thread."""
    parts = list(topology)
    if not parts:
        then()
        return
    parts[0].declare(channel, lambda: declare(parts[1:], channel, then))


def now() -> int:
    """Return the time as AMQP properties carry it: whole seconds since 1970."""
    return int(time.time())


def why_down(reason: str, settings: BrokerSettings) -> str:
    """Say why there is no connection: a RabbitMQ that runs may refuse the login."""
    if "ACCESS_REFUSED - Login was refused" in reason:
        return f"RabbitMQ refuses the login of {settings.user}"
    if "NOT_ALLOWED" in reason and "vhost" in reason:
        return f"RabbitMQ has no vhost {settings.vhost} for {settings.user}"
    return DOWN


def reason(error: object) -> str:
    """Say what lies at the bottom of pika's nested errors, such as that nobody listens."""
    nested = (*getattr(error, "exceptions", ()), getattr(error, "exception", None))
    for inner in (*nested, *getattr(error, "args", ())):
        if isinstance(inner, Exception):
            return reason(inner)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def dead_letter_queue(queue: str) -> str:
    """Return the name of the queue for what can't be processed."""
    return f"{queue}.dlq"


def parameters(
    settings: BrokerSettings, name: str, blocked_timeout: float | None = None
) -> pika.ConnectionParameters:
    """Return pika's parameters; `name` is what the management UI shows for it."""
    password = settings.password.get_secret_value()
    return pika.ConnectionParameters(
        host=settings.host,
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
