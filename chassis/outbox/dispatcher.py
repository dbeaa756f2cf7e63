"""What an active relay does: take what is in the outbox, publish it, note what became of it.

The table tells what is held back: messages that have failed stand in it with their attempts, and
those behind them in their aggregate are not taken. So nothing has to be remembered, or to be told
to the relay that takes over.
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
from chassis.outbox import table as outbox
from chassis.outbox.in_flight import Chains, Outcome
from chassis.outbox.lanes import Lane
from chassis.outbox.retry_size import Care
from chassis.outbox.table import Waiting

OUTBOX_RELAYED = Counter("outbox_relayed_total", "Messages that the relay has delivered")
_ROUND_SECONDS = 0.25  # before what is confirmed is marked, though others are not answered
_FINISH_SECONDS = 5.0
logger = logging.getLogger(__name__)


class Dispatch:
    """Delivers an outbox on one connection to its database."""

    def __init__(
        self, connection: Connection, publisher: Publisher, confirm_seconds: float
    ) -> None:
        self._connection = connection
        self._publisher = publisher
        self._chains = Chains(publisher, confirm_seconds)
        self._backoff = Backoff()
        self._care = Care()
        # what failed before this relay began is tried at once
        self._due: float | None = time.monotonic()
        self._began_away = False
        # urgent messages go first
        self._lanes = [
            Lane(connection, publisher, self._chains, urgent) for urgent in (True, False)
        ]

    def step(self) -> bool:
        """Take, publish, note; False if there is nothing to do for now."""
        if self.is_due():
            self._begin_try()
        with_care = self._care.is_taken and self._is_trying()
        rows = self._take_with_care() if with_care else self._take()
        self._chains.start(rows)
        # while the last ones are under way, these are marked, and more are taken
        self._chains.wait(_ROUND_SECONDS, left=0 if with_care else len(rows) // 4)
        self._note(self._chains.outcomes())
        return bool(rows) or bool(self._chains) or self._is_trying()

    def is_due(self) -> bool:
        """Tell whether it is time to try again what has failed.

        It is when the broker is back, too, but not when it was there and the connection was lost
        in the middle: that may be due to one of the messages.
        """
        if self._due is None or self._is_trying():
            return False
        is_back = self._began_away and self._publisher.is_ready()
        return is_back or time.monotonic() >= self._due

    def pause(self) -> float:
        """Return how many seconds there is nothing to do, unless something new comes."""
        if self.is_due():
            return 0
        times = [self._due, *(lane.next_look() for lane in self._lanes)]
        known = [moment for moment in times if moment is not None]
        return max(min(known, default=math.inf) - time.monotonic(), 0)

    def waits_for_broker(self) -> bool:
        """Tell whether something has failed and the broker is away still."""
        return self._due is not None and not self._publisher.is_ready()

    def finish(self) -> None:
        """Wait for what is on its way, and note what became of it."""
        self._chains.cut()
        self._chains.wait(_FINISH_SECONDS)
        self._note(self._chains.outcomes())

    def abandon(self) -> None:
        """Publish nothing more: what became of it could not be noted."""
        self._chains.cut()

    def _take(self) -> list[Waiting]:
        return [row for lane in self._lanes for row in lane.take()]

    def _take_with_care(self) -> list[Waiting]:
        """Take what has failed in small groups, each alone on its way, in turns with what is new.

        The connection has to be there: else what is behind a message that has cost it would fail
        without having been published.
        """
        if self._chains:
            return []
        is_ready = self._publisher.wait_until_ready(_ROUND_SECONDS)
        if is_ready and self._care.is_turn_of_tried():
            groups = (lane.take_tried(self._care.rows) for lane in self._lanes)
            return next(filter(None, groups), [])
        return [row for lane in self._lanes for row in lane.take_untried()]

    def _begin_try(self) -> None:
        self._due = None
        self._care.begin_try()
        self._began_away = not self._publisher.is_ready()
        for lane in self._lanes:
            lane.begin_try()

    def _is_trying(self) -> bool:
        return any(lane.is_trying() for lane in self._lanes)

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        sent = [outcome.row for outcome in outcomes if outcome.failure is None]
        failed = [outcome for outcome in outcomes if outcome.failure is not None]
        if outcomes:
            self._care.note(lost=any(outcome.lost for outcome in outcomes))
        if sent:
            self._note_sent(sent)
        if failed:
            rows = [outcome.row for outcome in failed]
            outbox.mark_failed(self._connection, [row.id for row in rows])
            for lane in self._lanes:
                lane.count_attempts(rows)
            self._wait_before_next_try(failed[0])

    def _note_sent(self, rows: Sequence[Waiting]) -> None:
        outbox.mark_sent(self._connection, [row.id for row in rows])
        OUTBOX_RELAYED.inc(len(rows))
        for row in rows:
            _log(row.message)
        # what is new says nothing about what was refused
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
