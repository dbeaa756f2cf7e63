"""Messages on the wire: their exchange, routing key, properties and body."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from tools.stack.servers.amqp import connect
from tools.stack.servers.rabbitmq import RabbitMQ

QUEUE = "tests-wire"
IDLE_SECONDS = 0.2


@dataclass(frozen=True)
class Taken:
    """A message as received; `body` is text if it is not JSON."""

    exchange: str
    routing_key: str
    properties: dict[str, Any]
    body: Any


class Wire:
    """A queue bound to exchanges; `messages` has the messages so far."""

    def __init__(self, rabbitmq: RabbitMQ) -> None:
        self._rabbitmq = rabbitmq
        self.messages: list[Taken] = []

    def bind(self, exchange: str, routing_key: str = "#") -> None:
        """Bind the queue to an exchange, and declare it first if it is missing."""
        with self._channel() as channel:
            channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
            channel.queue_bind(QUEUE, exchange, routing_key)

    def remove(self) -> None:
        """Delete the queue."""
        with self._channel() as channel:
            channel.queue_delete(QUEUE)

    def take(self) -> list[Taken]:
        """Receive the waiting messages; return all messages so far."""
        with self._channel() as channel:
            for method, properties, body in channel.consume(QUEUE, inactivity_timeout=IDLE_SECONDS):
                if method is None or properties is None or body is None:
                    break
                self.messages.append(_taken(method, properties, body))
                channel.basic_ack(method.delivery_tag)
        return self.messages

    def look_into(self, queue: str) -> list[Taken]:
        """Return the ready messages of a queue; they stay there."""
        found: list[Taken] = []
        with self._channel() as channel:
            while True:
                method, properties, body = channel.basic_get(queue)
                if method is None or properties is None or body is None:
                    return found
                found.append(_taken(method, properties, body))

    def purge(self, queue: str) -> None:
        """Purge a queue."""
        with self._channel() as channel:
            channel.queue_purge(queue)

    def publish(self, queue: str, body: bytes, message_id: str) -> None:
        """Publish into a queue as any other client might."""
        with self._channel() as channel:
            channel.confirm_delivery()
            properties = pika.BasicProperties(message_id=message_id)
            channel.basic_publish("", queue, body, properties, mandatory=True)

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        with connect(self._rabbitmq) as connection:
            yield connection.channel()


def _taken(method: Any, properties: pika.BasicProperties, body: bytes) -> Taken:
    given = {name: value for name, value in vars(properties).items() if value is not None}
    # a quorum queue adds this header to messages that were read before
    given.get("headers", {}).pop("x-delivery-count", None)
    try:
        content = json.loads(body)
    except ValueError:
        content = body.decode()
    return Taken(method.exchange, method.routing_key, given, content)
