"""Messages that were refused, until the dead-letter queue has them: none waits for another."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chassis.dead_letters import DeadLetters
from chassis.delivery import Delivery
from chassis.errors import BrokerUnavailableError

_FIRST_SECONDS, _LONGEST_SECONDS = 0.5, 60.0
logger = logging.getLogger(__name__)


@dataclass
class _Waiting:
    delivery: Delivery
    reason: str
    failures: int = 0
    next_at: float = 0.0

    def put_off(self) -> None:
        pause = min(_FIRST_SECONDS * 2 ** min(self.failures, 16), _LONGEST_SECONDS)
        self.failures += 1
        self.next_at = time.monotonic() + pause


class Aside:
    """Holds refused messages, unacknowledged, while they can't be published as dead letters."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters
        self._waiting: list[_Waiting] = []

    def __contains__(self, delivery: Delivery) -> bool:
        return any(waiting.delivery is delivery for waiting in self._waiting)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, refused: Iterable[tuple[Delivery, str]]) -> None:
        """Take messages, each with the reason why it was refused."""
        self._waiting += [_Waiting(delivery, reason) for delivery, reason in refused]

    def publish(self, done: Callable[[Delivery], None]) -> None:
        """Publish what is due, and call `done` for each that is confirmed.

        One that can't be published is tried again later, and later each time; the others pass it.
        """
        # of a lost channel nothing can be acknowledged: the broker delivers it again
        self._waiting = [waiting for waiting in self._waiting if waiting.delivery.channel.is_open]
        now = time.monotonic()
        for waiting in [waiting for waiting in self._waiting if waiting.next_at <= now]:
            if not self._dead_letters.ready():
                return
            if self._put(waiting):
                done(waiting.delivery)
                self._waiting.remove(waiting)

    def _put(self, waiting: _Waiting) -> bool:
        delivery = waiting.delivery
        try:
            self._dead_letters.put(delivery.body, delivery.properties, waiting.reason)
        except BrokerUnavailableError as error:
            waiting.put_off()
            extra = {"message_id": delivery.properties.message_id, "reason": str(error)}
            logger.warning("dead letter not confirmed", extra=extra)
            return False
        return True
