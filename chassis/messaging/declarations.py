"""Queues, exchanges and bindings that must exist before anything is published or consumed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pika.channel import Channel

DECLARE_SECONDS = 60.0  # between declarations, as somebody may have removed something
QUORUM = {"x-queue-type": "quorum"}


@dataclass(frozen=True)
class Queue:
    """A durable quorum queue."""

    name: str

    def declare(self, channel: "Channel", then: Callable[[], None]) -> None:
        """Declare it on the connection's own thread, then go on."""
        channel.queue_declare(
            self.name, durable=True, arguments=QUORUM, callback=lambda _frame: then()
        )


@dataclass(frozen=True)
class Exchange:
    """A durable exchange of kind `fanout` or `topic`."""

    name: str
    kind: str

    def declare(self, channel: "Channel", then: Callable[[], None]) -> None:
        """Declare it on the connection's own thread, then go on."""
        channel.exchange_declare(self.name, self.kind, durable=True, callback=lambda _frame: then())


@dataclass(frozen=True)
class Binding:
    """Which messages of an exchange a queue receives: all, unless `routing_key` is given."""

    queue: str
    exchange: str
    routing_key: str = "#"

    def declare(self, channel: "Channel", then: Callable[[], None]) -> None:
        """Declare it on the connection's own thread, then go on."""
        channel.queue_bind(
            self.queue, self.exchange, self.routing_key, callback=lambda _frame: then()
        )


@dataclass(frozen=True)
class FormerBinding(Binding):
    """A binding of an earlier version, which is removed; it may not exist any more."""

    def declare(self, channel: "Channel", then: Callable[[], None]) -> None:
        """Remove it on the connection's own thread, then go on."""
        channel.queue_unbind(
            self.queue, self.exchange, self.routing_key, callback=lambda _frame: then()
        )


Topology = Iterable[Queue | Exchange | Binding]


def declare(topology: Topology, channel: "Channel", then: Callable[[], None]) -> None:
    """Declare all parts, one after the other, then go on; on the connection's thread."""
    parts = list(topology)
    if not parts:
        then()
        return
    parts[0].declare(channel, lambda: declare(parts[1:], channel, then))


def dead_letter_queue(queue: str) -> str:
    """Return the name of the queue for messages of `queue` that can't be processed."""
    return f"{queue}.dlq"
