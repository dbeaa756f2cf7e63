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

from chassis import outbox, trace
from chassis.backoff import Backoff
from chassis.broker import Message
from chassis.chains import Chains, Outcome
from chassis.outbox import Page, Waiting
from chassis.publisher import Publisher

OUTBOX_RELAYED = Counter("outbox_relayed_total", "Messages that the relay has delivered")
BATCH = 1000
_OCTETS = 8_000_000  # of bodies on their way at once
_ROUND_SECONDS = 0.25  # before what is confirmed is marked, though others are not answered
_FINISH_SECONDS = 5.0
_LONG_LOOK_SECONDS = 0.1
_LOOK_SHARE = 0.2  # of the time, at most, where looks are long
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
        # what failed before this relay began is tried at once
        self._due: float | None = time.monotonic()
        self._place: int | None = None  # how far the try under way has come
        self._began_away = False
        self._attempts = 0  # in this try
        self._look_at = 0.0
        self._postponed = False

    def step(self) -> bool:
        """Take, publish, note; False if there is nothing to do for now."""
        if self.is_due():
            self._begin_try()
        rows = self._take()
        self._chains.start(rows)
        # while the last ones are under way, these are marked, and more are taken
        self._chains.wait(_ROUND_SECONDS, left=len(rows) // 4)
        self._note(self._chains.outcomes())
        return bool(rows) or bool(self._chains) or self._place is not None

    def is_due(self) -> bool:
        """Tell whether it is time to try again what has failed.

        It is when the broker is back, too, but not when it was there and the connection was lost
        in the middle: that may be due to one of the messages.
        """
        if self._due is None or self._place is not None:
            return False
        is_back = self._began_away and self._publisher.is_ready()
        return is_back or time.monotonic() >= self._due

    def pause(self) -> float:
        """Return how many seconds there is nothing to do, unless something new comes."""
        if self.is_due():
            return 0
        times = [self._due] if self._due is not None else []
        times += [self._look_at] if self._postponed else []
        return max(min(times, default=math.inf) - time.monotonic(), 0)

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

    def _begin_try(self) -> None:
        self._due = None
        self._place = 0
        self._attempts = 0
        self._began_away = not self._publisher.is_ready()

    def _take(self) -> Sequence[Waiting]:
        """Return what to publish now, what has failed before first."""
        room = self._room()
        tried = self._take_tried(room)
        return [*tried, *self._take_untried(room.less(tried))]

    def _room(self) -> Page:
        """With the broker away a try is one batch, and what comes new as far as it fits in."""
        room = Page(BATCH, _OCTETS).less(self._chains.rows())
        if self._publisher.is_ready():
            return room
        return Page(room.rows - self._attempts, room.octets)

    def _take_tried(self, room: Page) -> list[Waiting]:
        if self._place is None:
            return []
        if room.is_full:
            self._place = self._place if self._chains else None
            return []
        # half at most, or many that are refused would hold up all others
        page = Page(-(-room.rows // 2), room.octets // 2) if self._publisher.is_ready() else room
        rows = outbox.tried(self._connection, page, self._place)
        self._place = rows[-1].id if rows else None
        busy = self._chains.busy()
        return [row for row in rows if not busy.has(row)]

    def _take_untried(self, room: Page) -> list[Waiting]:
        began = time.monotonic()
        self._postponed = began < self._look_at
        if room.is_full or self._postponed:
            return []
        busy = self._chains.busy()
        rows = outbox.untried(self._connection, room, busy.ids, busy.aggregates)
        took = time.monotonic() - began
        if took > _LONG_LOOK_SECONDS and len(rows) < room.rows:
            # it went over many that are held back: not for each message that comes
            self._look_at = began + took / _LOOK_SHARE
        return rows

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        sent = [outcome.row for outcome in outcomes if outcome.failure is None]
        failed = [outcome for outcome in outcomes if outcome.failure is not None]
        if sent:
            self._note_sent(sent)
        if failed:
            outbox.mark_failed(self._connection, [outcome.row.id for outcome in failed])
            self._attempts += len(failed)
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
