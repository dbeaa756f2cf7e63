"""The active relay's work: take messages from the outbox, publish them, record the outcomes.

The table itself records what is held back. A failed message has its number of attempts there, and
the messages behind it in its aggregate are not taken. So the relay keeps no state that another one
would need when it takes over.
"""

import logging
import math
import time
from collections.abc import Sequence

from prometheus_client import Counter
from sqlalchemy import Connection

from chassis import trace
from chassis.backoff import Backoff
from chassis.messaging.message import Message
from chassis.messaging.publisher import Publisher
from chassis.outbox import waiting
from chassis.outbox.in_flight import InFlight, Outcome
from chassis.outbox.lanes import BATCH, Lane
from chassis.outbox.retry_size import RetrySize
from chassis.outbox.waiting import Waiting

OUTBOX_RELAYED = Counter("outbox_relayed_total", "Messages that the relay has delivered")
_ROUND_SECONDS = 0.25  # until confirmed messages are marked, though others are still in flight
_FINISH_SECONDS = 5.0
logger = logging.getLogger(__name__)


class Dispatcher:
    """Delivers an outbox on one connection to its database."""

    def __init__(
        self,
        connection: Connection,
        publisher: Publisher,
        confirm_seconds: float,
        batch: int = BATCH,
    ) -> None:
        self._connection = connection
        self._publisher = publisher
        self._in_flight = InFlight(publisher, confirm_seconds)
        self._backoff = Backoff()
        self._retry_size = RetrySize()
        # messages that failed before this relay began are retried at once
        self._due: float | None = time.monotonic()
        self._began_without_broker = False
        self.taken = 0
        """How many messages the last step has taken; 0 while failed ones wait or are retried."""
        # urgent messages go first
        self._lanes = [
            Lane(connection, publisher, self._in_flight, urgent, batch) for urgent in (True, False)
        ]

    def step(self) -> bool:
        """Take, publish, record; False if there is nothing to do for now."""
        if self.is_due():
            self._begin_try()
        is_reduced = self._retry_size.is_reduced and self._is_trying()
        rows = self._take_reduced() if is_reduced else self._take()
        self._in_flight.start(rows)
        # the last quarter may stay in flight while the others are marked and more are taken
        self._in_flight.wait(_ROUND_SECONDS, left=0 if is_reduced else len(rows) // 4)
        self._note(self._in_flight.outcomes())
        self.taken = len(rows) if self._due is None and not self._is_trying() else 0
        return bool(rows) or bool(self._in_flight) or self._is_trying()

    def is_due(self) -> bool:
        """Return whether it is time to retry failed messages.

        It also is once an unavailable broker is back, but not if the connection was lost while the
        broker was available: one of the messages may have caused that.
        """
        if self._due is None or self._is_trying():
            return False
        is_back = self._began_without_broker and self._publisher.is_ready()
        return is_back or time.monotonic() >= self._due

    def pause(self) -> float:
        """Return how many seconds to wait unless a new message arrives."""
        if self.is_due():
            return 0
        times = [self._due, *(lane.next_scan() for lane in self._lanes)]
        known = [moment for moment in times if moment is not None]
        return max(min(known, default=math.inf) - time.monotonic(), 0)

    def waits_for_broker(self) -> bool:
        """Return whether messages have failed and the broker is still unavailable."""
        return self._due is not None and not self._publisher.is_ready()

    def finish(self) -> None:
        """Wait for the messages in flight, and record their outcomes."""
        self._in_flight.drain()
        self._in_flight.wait(_FINISH_SECONDS)
        self._note(self._in_flight.outcomes())

    def abandon(self) -> None:
        """Publish nothing more: its outcome could not be recorded."""
        self._in_flight.drain()

    def _take(self) -> list[Waiting]:
        return [row for lane in self._lanes for row in lane.take()]

    def _take_reduced(self) -> list[Waiting]:
        """Take retryable messages in small groups, one group in flight, in turns with new ones.

        It needs a connection: without one, the messages behind the one that cost the connection
        would fail without having been published.
        """
        if self._in_flight:
            return []
        is_ready = self._publisher.wait_until_ready(_ROUND_SECONDS)
        if is_ready and self._retry_size.is_retry_turn():
            groups = (lane.take_retryable(self._retry_size.rows) for lane in self._lanes)
            return next(filter(None, groups), [])
        return [row for lane in self._lanes for row in lane.take_new()]

    def _begin_try(self) -> None:
        self._due = None
        self._retry_size.begin_try()
        self._began_without_broker = not self._publisher.is_ready()
        for lane in self._lanes:
            lane.begin_try()

    def _is_trying(self) -> bool:
        return any(lane.is_trying() for lane in self._lanes)

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        sent = [outcome.row for outcome in outcomes if outcome.failure is None]
        failed = [outcome for outcome in outcomes if outcome.failure is not None]
        if outcomes:
            self._retry_size.note(lost=any(outcome.lost for outcome in outcomes))
        if sent:
            self._note_sent(sent)
        if failed:
            rows = [outcome.row for outcome in failed]
            waiting.mark_failed(self._connection, [row.id for row in rows])
            for lane in self._lanes:
                lane.count_attempts(rows)
            self._wait_before_next_try(failed[0])

    def _note_sent(self, rows: Sequence[Waiting]) -> None:
        waiting.mark_sent(self._connection, [row.id for row in rows])
        OUTBOX_RELAYED.inc(len(rows))
        for row in rows:
            _log(row.message)
        # a new message says nothing about a refused one
        if any(row.attempts for row in rows):
            self._backoff.reset()

    def _wait_before_next_try(self, failed: Outcome) -> None:
        if self._due is not None:
            return
        delay = self._backoff.next()
        self._due = time.monotonic() + delay
        extra = {
            "reason": failed.failure,
            "message_id": failed.row.message.id,
            "seconds": round(delay, 1),
        }
        logger.warning("outbox waits for the broker", extra=extra)


def _log(message: Message) -> None:
    with trace.within(trace.continued(message.headers)):
        destination = message.exchange or message.routing_key
        extra = {"message_id": message.id, "destination": destination}
        logger.info("message relayed", extra=extra)
