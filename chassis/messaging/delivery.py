"""A message as a service's handler sees it, and what a handler is."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from chassis.messaging.short_strings import as_text

if TYPE_CHECKING:
    import pika
    from pika.channel import Channel

COUNTS = ("x-delivery-count", "x-acquired-count")
"""The headers in which a broker says how often it has delivered a message before."""


class RejectedError(Exception):
    """A message that can't be processed, now or later."""


@dataclass(frozen=True, eq=False)
class Delivery:
    """A message as it came from the broker, on the channel that it must be acknowledged on."""

    channel: "Channel"
    tag: int
    body: bytes
    properties: "pika.BasicProperties"
    redelivered: bool = False

    @property
    def message_id(self) -> str | None:
        """The message's id, None without one; what of it is no UTF-8 is lone surrogates."""
        message_id = self.properties.message_id
        return None if message_id is None else as_text(message_id)

    @property
    def headers(self) -> dict[str, Any]:
        """The AMQP headers, none if there are none."""
        return self.properties.headers or {}

    @property
    def earlier_deliveries(self) -> int:
        """How often the broker has delivered this message before.

        Since RabbitMQ 4.3 `x-delivery-count` counts failures alone, and `x-acquired-count` every
        delivery: https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
        """
        # at the first delivery a header, if there is one, is the client's
        counts = [self.headers.get(name) for name in COUNTS if self.redelivered]
        return max((count for count in counts if isinstance(count, int)), default=0)


ItemT = TypeVar("ItemT")


class Handler(Protocol[ItemT]):
    """What a service does with the messages of a queue."""

    def parse(self, delivery: Delivery) -> ItemT:
        """Understand a message.

        Raises:
            RejectedError: it can't be processed, and why.
        """

    def aggregate(self, item: ItemT) -> Hashable | None:
        """Return what an item is about: items about the same keep their order. None: nothing."""

    def apply(self, items: Sequence[ItemT], lock_seconds: float | None = None) -> None:
        """Apply all of `items` in one transaction, and commit it; what was applied before, not.

        Args:
            items: what `parse` has returned.
            lock_seconds: how long a statement may wait for a lock.
        """

    def check(self) -> None:
        """Raise what is wrong if no message can be applied now, whatever it is."""

    def is_outage(self, error: Exception) -> bool:
        """Tell whether to wait and try again, since the message is not at fault."""
