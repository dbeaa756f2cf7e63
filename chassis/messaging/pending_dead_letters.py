"""Refused messages that wait until the dead-letter queue has them; none waits for another."""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from prometheus_client import Gauge

from chassis.errors import BrokerUnavailableError
from chassis.messaging.dead_letters import DeadLetters
from chassis.messaging.delivery import Delivery

HELD = Gauge(
    "dead_letters_held",
    "Refused messages that stay unacknowledged until the dead-letter queue confirms them",
    ["queue"],
)
_FIRST_SECONDS, _LONGEST_SECONDS = 0.5, 60.0
# three quarters of what may be in hand at all, see chassis.messaging.window
_MOST, _MOST_OCTETS = 5000, 48_000_000
logger = logging.getLogger(__name__)


@dataclass
class _Waiting:
    delivery: Delivery
    reason: str
    failures: int = 0
    next_at: float = 0.0

    def defer(self) -> None:
        pause = min(_FIRST_SECONDS * 2 ** min(self.failures, 16), _LONGEST_SECONDS)
        self.failures += 1
        self.next_at = time.monotonic() + pause


class PendingDeadLetters:
    """Holds refused messages, unacknowledged, while they can't be published as dead letters."""

    def __init__(self, queue: str, dead_letters: DeadLetters) -> None:
        """Prepare to hold messages of `queue`."""
        self._dead_letters = dead_letters
        self._waiting: dict[Delivery, _Waiting] = {}
        self._held = HELD.labels(queue)

    def deliveries(self) -> Collection[Delivery]:
        """Return the messages."""
        return self._waiting.keys()

    def add(self, refused: Iterable[tuple[Delivery, str]]) -> None:
        """Add refused messages, each with the reason."""
        for delivery, reason in refused:
            self._waiting[delivery] = _Waiting(delivery, reason)

    def publish(self, done: Callable[[Delivery], None]) -> None:
        """Publish the messages that are due, and call `done` for each confirmed one.

        A message that can't be published is retried with growing pauses; the others pass it.
        """
        ours = {delivery: each for delivery, each in self._waiting.items() if delivery.is_ours}
        self._waiting = ours
        self._publish_due(done)
        self._held.set(len(self._waiting))

    def _publish_due(self, done: Callable[[Delivery], None]) -> None:
        now = time.monotonic()
        for waiting in [one for one in self._waiting.values() if one.next_at <= now]:
            if not self._dead_letters.ready():
                return
            if self._publish_one(waiting):
                done(waiting.delivery)
                del self._waiting[waiting.delivery]

    def _publish_one(self, waiting: _Waiting) -> bool:
        delivery = waiting.delivery
        try:
            self._dead_letters.put(delivery.body, delivery.properties, waiting.reason)
        except BrokerUnavailableError as error:
            waiting.defer()
            extra = {"message_id": delivery.message_id, "reason": str(error)}
            logger.warning("dead letter not confirmed", extra=extra)
            return False
        return True


def is_at_limit(held: Collection[Delivery]) -> bool:
    """Return whether no more messages should be held."""
    return len(held) >= _MOST or sum(len(delivery.body) for delivery in held) >= _MOST_OCTETS
