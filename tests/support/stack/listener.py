"""A listener to an exchange, with its own durable queue."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from pika.adapters.blocking_connection import BlockingChannel

from tools.stack.servers.amqp import connect
from tools.stack.stack import Stack
from tools.stack.waiting import wait_until

IDLE_SECONDS = 0.2
QUORUM = {"x-queue-type": "quorum"}


class Listener:
    """The events of a queue; `events` has the CloudEvents by id, in the order of first arrival."""

    def __init__(self, stack: Stack, queue: str) -> None:
        self.queue = queue
        self.events: dict[str, dict[str, Any]] = {}
        self.routing_keys: dict[str, str] = {}
        self._stack = stack

    def bind(self, exchange: str) -> None:
        """Declare the queue, and bind it to everything that the exchange gets."""
        with self._channel() as channel:
            channel.queue_declare(self.queue, durable=True, arguments=QUORUM)
            channel.queue_bind(self.queue, exchange, "#")

    def clear(self) -> None:
        """Purge the queue."""
        with self._channel() as channel:
            channel.queue_purge(self.queue)

    def remove(self) -> None:
        """Delete the queue."""
        with self._channel() as channel:
            channel.queue_delete(self.queue)

    def receive(self) -> None:
        """Receive the waiting messages."""
        self._take_until_idle_for(IDLE_SECONDS)

    def receive_all(self, seconds: float = 60) -> None:
        """Receive all messages up to a last one that is published now."""
        last = str(uuid4())
        with self._channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish("", self.queue, json.dumps({"id": last}).encode())
        assert self._take_until_idle_for(seconds, last), f"the end of {self.queue} does not come"

    def _take_until_idle_for(self, seconds: float, last: str | None = None) -> bool:
        """Receive messages; return True once `last` arrives, which is not an event."""
        with self._channel() as channel:
            channel.basic_qos(prefetch_count=500)
            for method, _properties, body in channel.consume(
                self.queue, inactivity_timeout=seconds
            ):
                if method is None or body is None:
                    break
                event = json.loads(body)
                channel.basic_ack(method.delivery_tag)
                if event["id"] == last:
                    return True
                self.events.setdefault(event["id"], event)
                self.routing_keys[event["id"]] = method.routing_key
        return False

    def wait_for(self, count: int, seconds: float = 60) -> None:
        """Wait for so many different events."""

        def is_there() -> bool:
            self.receive()
            return len(self.events) >= count

        wait_until(is_there, seconds, f"{count} events in {self.queue}")

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        with connect(self._stack.rabbitmq) as connection:
            yield connection.channel()
