"""A message as a service's handler receives it, and the protocol of handlers."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from chassis.messaging.short_strings import as_text

if TYPE_CHECKING:
    import pika
    from pika.channel import Channel

COUNTS = ("x-delivery-count", "x-acquired-count")
"""The headers in which a broker counts the earlier deliveries of a message."""


class RejectedError(Exception):
    """A message that can't be processed, now or later."""


@dataclass(eq=False, slots=True)
class Delivery:
    """A message from the broker, with the channel on which it must be acknowledged."""

    channel: "Channel"
    tag: int
    body: bytes
    properties: "pika.BasicProperties"
    redelivered: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it can be acknowledged; messages of a lost channel are delivered again."""
        return bool(self.channel.is_open)

    @property
    def message_id(self) -> str | None:
        """The message's id, None without one; bytes that are not UTF-8 are lone surrogates."""
        message_id = self.properties.message_id
        return None if message_id is None else as_text(message_id)

    @property
    def headers(self) -> dict[str, Any]:
        """The AMQP headers; empty if there are none."""
        return self.properties.headers or {}

    @property
    def earlier_deliveries(self) -> int:
        """How often the broker has delivered this message before.

        Since RabbitMQ 4.3 `x-delivery-count` counts failures alone, and `x-acquired-count` every
        delivery: https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
        """
        if not self.redelivered:
            # at the first delivery such a header comes from the client
            return 0
        counts = [self.headers.get(name) for name in COUNTS]
        return max((count for count in counts if isinstance(count, int)), default=0)


ItemT = TypeVar("ItemT")


class Handler(Protocol[ItemT]):
    """What a service does with the messages of a queue."""

    def parse(self, delivery: Delivery) -> ItemT:
        """Read a message.

        Raises:
            RejectedError: it can't be processed; with the reason.
        """

    def aggregate(self, item: ItemT) -> Hashable | None:
        """Return what an item is about; items of one aggregate keep their order. None: no order."""

    def apply(self, items: Sequence[ItemT], lock_seconds: float | None = None) -> None:
        """Apply `items` in one transaction and commit it; skip what was applied before.

        Args:
            items: what `parse` has returned.
            lock_seconds: how long a statement may wait for a lock.
        """

    def check(self) -> None:
        """Raise what is wrong if no message at all can be applied now."""

    def is_outage(self, error: Exception) -> bool:
        """Return whether to wait and retry, as the message is not at fault."""
