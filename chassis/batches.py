"""Batches: all that is good in one transaction, what fails one by one, what is poison aside."""

import logging
import threading
from collections.abc import Sequence
from typing import Generic

from prometheus_client import Counter, Histogram

from chassis.dead_letters import DeadLetters
from chassis.delivery import Delivery, Handler, ItemT, RejectedError
from chassis.errors import BrokerUnavailableError

CONSUMED = Counter(
    "messages_consumed_total", "Messages taken from a queue, by outcome", ["queue", "outcome"]
)
CONSUMED_BATCH = Histogram(
    "consumed_batch_size",
    "Messages handled in one transaction",
    ["queue"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
DEAD_LETTER_ABOVE = 40  # deliveries of one message
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts while a peer is away
logger = logging.getLogger(__name__)


class BatchProcessor(Generic[ItemT]):
    """Hands the messages of a queue to their handler, and the poison to the dead letters."""

    def __init__(
        self,
        queue: str,
        handler: Handler[ItemT],
        dead_letters: DeadLetters,
        stop: threading.Event,
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._dead_letters = dead_letters
        self._stop = stop

    def process(self, deliveries: Sequence[Delivery]) -> bool:
        """Apply what is good and dead-letter the rest; False if told to stop before it is done."""
        good, refused = self._sort(deliveries)
        failed = self._apply(good)
        if failed is None:
            return False
        refused += failed
        CONSUMED_BATCH.labels(self._queue).observe(len(deliveries))
        CONSUMED.labels(self._queue, "applied").inc(len(deliveries) - len(refused))
        CONSUMED.labels(self._queue, "dead_lettered").inc(len(refused))
        return all(self._dead_letter(delivery, reason) for delivery, reason in refused)

    def _sort(
        self, deliveries: Sequence[Delivery]
    ) -> tuple[list[tuple[Delivery, ItemT]], list[tuple[Delivery, str]]]:
        good: list[tuple[Delivery, ItemT]] = []
        refused: list[tuple[Delivery, str]] = []
        for delivery in deliveries:
            try:
                if delivery.earlier_deliveries > DEAD_LETTER_ABOVE:
                    raise RejectedError(f"delivered {delivery.earlier_deliveries} times in vain")
                good.append((delivery, self._handler.parse(delivery)))
            except RejectedError as error:
                refused.append((delivery, str(error)))
            except Exception as error:
                logger.exception("message can't be read")
                refused.append((delivery, _named(error)))
        return good, refused

    def _apply(self, good: Sequence[tuple[Delivery, ItemT]]) -> list[tuple[Delivery, str]] | None:
        """Apply a batch; if it fails, one by one. Returns what failed alone, None if stopped."""
        try:
            done = not good or self._apply_waiting([item for _delivery, item in good])
            return [] if done else None
        except Exception as error:
            if len(good) == 1:
                logger.exception("message can't be processed")
                return [(good[0][0], _named(error))]
        failed: list[tuple[Delivery, str]] = []
        for pair in good:
            alone = self._apply([pair])
            if alone is None:
                return None
            failed += alone
        return failed

    def _apply_waiting(self, items: Sequence[ItemT]) -> bool:
        """Apply `items`, waiting for the database as long as it takes; False if told to stop."""
        pause = _FIRST_PAUSE
        while True:
            try:
                self._handler.apply(items)
                return True
            except Exception as error:
                if not self._handler.is_outage(error):
                    raise
                reason = str(error).strip().partition("\n")[0]
                logger.warning("waiting for the database", extra={"reason": reason})
            if self._stop.wait(pause):
                return False
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _dead_letter(self, delivery: Delivery, reason: str) -> bool:
        """Put a message aside, trying until the broker has it or will deliver it again."""
        while delivery.channel.is_open:
            try:
                self._dead_letters.put(delivery.body, delivery.properties, reason)
                return True
            except BrokerUnavailableError as error:
                logger.warning("dead letter not confirmed", extra={"reason": str(error)})
            if self._stop.wait(_LONGEST_PAUSE):
                break
        return False


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
