"""The lanes of an outbox: urgent messages have one, all others share one.

Each lane has a window of its own: however many messages wait in one of them, none in the other
waits behind them.
"""

import time
from collections.abc import Sequence

from sqlalchemy import Connection

from chassis.messaging.publisher import Publisher
from chassis.outbox import table as outbox
from chassis.outbox.in_flight import Busy, Chains
from chassis.outbox.poll_pause import SlowLooks
from chassis.outbox.table import Page, Waiting

BATCH = 1000
_OCTETS = 8_000_000  # of bodies on their way at once
_LOOK_SHARE = 0.2  # of the time, at most, where looks are long
_LONGEST_REST = 3.0


class Lane:
    """Takes what is to be published next of one lane."""

    def __init__(
        self, connection: Connection, publisher: Publisher, chains: Chains, urgent: bool
    ) -> None:
        """Prepare a lane.

        Args:
            connection: to the database with the outbox.
            publisher: tells whether the broker is there.
            chains: all that is on its way, of either lane.
            urgent: whether it is the lane of urgent messages.
        """
        self._connection = connection
        self._publisher = publisher
        self._chains = chains
        self._urgent = urgent
        self._place: int | None = None  # how far the try under way has come
        self._attempts = 0  # in this try
        self._look_at = 0.0
        self._slow_looks = SlowLooks(_LOOK_SHARE, _LONGEST_REST)
        self._postponed = False

    def begin_try(self) -> None:
        """Take what has failed once more, from the oldest on."""
        self._place = 0
        self._attempts = 0

    def is_trying(self) -> bool:
        """Tell whether some of what has failed has yet to be taken."""
        return self._place is not None

    def next_look(self) -> float | None:
        """Return the time of `time.monotonic` of a look that was postponed, None if none was."""
        return self._look_at if self._postponed else None

    def count_attempts(self, failed: Sequence[Waiting]) -> None:
        """Note which messages, of either lane, have failed."""
        self._attempts += sum(row.message.urgent == self._urgent for row in failed)

    def take(self) -> list[Waiting]:
        """Return what to publish now, what has failed before first."""
        room = self._room()
        busy = self._chains.busy()
        tried = self._take_tried(room, busy)
        return [*tried, *self._take_untried(room.less(tried), busy)]

    def take_untried(self) -> list[Waiting]:
        """Return what to publish now of what has not failed before."""
        return self._take_untried(self._room(), self._chains.busy())

    def take_tried(self, rows: int) -> list[Waiting]:
        """Return so many rows, at most, of what has failed before; while nothing is on its way."""
        if self._place is None:
            return []
        page = Page(rows, _OCTETS)
        taken = outbox.tried(self._connection, page, self._urgent, self._place)
        self._place = taken[-1].id if taken else None
        return taken

    def _room(self) -> Page:
        """With the broker away a try is one batch, and what comes new as far as it fits in."""
        under_way = [row for row in self._chains.rows() if row.message.urgent == self._urgent]
        room = Page(BATCH, _OCTETS).less(under_way)
        if self._publisher.is_ready():
            return room
        return Page(room.rows - self._attempts, room.octets)

    def _take_tried(self, room: Page, busy: Busy) -> list[Waiting]:
        if self._place is None:
            return []
        if room.is_full:
            self._place = self._place if self._chains else None
            return []
        # half at most, or many that are refused would hold up all others
        page = Page(-(-room.rows // 2), room.octets // 2) if self._publisher.is_ready() else room
        rows = outbox.tried(self._connection, page, self._urgent, self._place)
        self._place = rows[-1].id if rows else None
        return [row for row in rows if not busy.has(row)]

    def _take_untried(self, room: Page, busy: Busy) -> list[Waiting]:
        began = time.monotonic()
        self._postponed = began < self._look_at
        if room.is_full or self._postponed:
            return []
        rows = outbox.untried(self._connection, room, self._urgent, busy.ids, busy.aggregates)
        if len(rows) < room.rows:
            # a slow one went over many that are held back: not for each message that comes
            now = time.monotonic()
            self._look_at = now + self._slow_looks.rest(now - began)
        return rows
