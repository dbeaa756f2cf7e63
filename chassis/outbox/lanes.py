"""The lanes of an outbox: one for urgent messages, one for all others.

Each lane has its own window, so messages that wait in one lane never hold up the other.
"""

import time
from collections.abc import Sequence

from sqlalchemy import Connection

from chassis.messaging.publisher import Publisher
from chassis.outbox import waiting
from chassis.outbox.in_flight import BlockedKeys, InFlight
from chassis.outbox.scan_pause import ScanPause
from chassis.outbox.waiting import Page, Waiting

BATCH = 1000  # messages in flight at once
_OCTETS = 8_000_000  # of bodies in flight at once
_SCAN_SHARE = 0.2  # of the time, at most, where scans are slow
_LONGEST_REST = 3.0


class Lane:
    """Takes the messages of one lane that are to be published next."""

    def __init__(
        self,
        connection: Connection,
        publisher: Publisher,
        in_flight: InFlight,
        urgent: bool,
        batch: int = BATCH,
    ) -> None:
        """Prepare a lane.

        Args:
            connection: to the database with the outbox.
            publisher: tells whether the broker is available.
            in_flight: the messages in flight, of both lanes.
            urgent: whether it is the lane of urgent messages.
            batch: how many messages may be in flight at once.
        """
        self._connection = connection
        self._publisher = publisher
        self._in_flight = in_flight
        self._urgent = urgent
        self._batch = batch
        self._cursor: int | None = None  # the last row taken by the retry in progress
        self._attempts = 0  # in this retry
        self._next_scan_at = 0.0
        self._scan_pause = ScanPause(_SCAN_SHARE, _LONGEST_REST)
        self._postponed = False

    def begin_try(self) -> None:
        """Begin to retry failed messages, from the oldest on."""
        self._cursor = 0
        self._attempts = 0

    def is_trying(self) -> bool:
        """Return whether this retry has messages left to take."""
        return self._cursor is not None

    def next_scan(self) -> float | None:
        """Return when a postponed scan is due (`time.monotonic`), None if none was postponed."""
        return self._next_scan_at if self._postponed else None

    def count_attempts(self, failed: Sequence[Waiting]) -> None:
        """Count this lane's among the messages that have failed."""
        self._attempts += sum(row.message.urgent == self._urgent for row in failed)

    def take(self) -> list[Waiting]:
        """Return what to publish now, retryable messages first."""
        room = self._room()
        blocked = self._in_flight.blocked_keys()
        retryable = self._take_retryable(room, blocked)
        return [*retryable, *self._take_new(room.less(retryable), blocked)]

    def take_new(self) -> list[Waiting]:
        """Return the new messages to publish now."""
        return self._take_new(self._room(), self._in_flight.blocked_keys())

    def take_retryable(self, rows: int) -> list[Waiting]:
        """Return at most so many rows that have failed before; only while none is in flight."""
        if self._cursor is None:
            return []
        page = Page(rows, _OCTETS)
        taken = waiting.retryable(self._connection, page, self._urgent, self._cursor)
        self._cursor = taken[-1].id if taken else None
        return taken

    def _room(self) -> Page:
        """Return the free room; without a broker, a retry and new messages share one batch."""
        in_flight = [row for row in self._in_flight.rows() if row.message.urgent == self._urgent]
        room = Page(self._batch, _OCTETS).less(in_flight)
        if self._publisher.is_ready():
            return room
        return Page(room.rows - self._attempts, room.octets)

    def _take_retryable(self, room: Page, blocked: BlockedKeys) -> list[Waiting]:
        if self._cursor is None:
            return []
        if room.is_full:
            self._cursor = self._cursor if self._in_flight else None
            return []
        # half at most: many refused messages must not hold up all others
        page = Page(-(-room.rows // 2), room.octets // 2) if self._publisher.is_ready() else room
        rows = waiting.retryable(self._connection, page, self._urgent, self._cursor)
        self._cursor = rows[-1].id if rows else None
        return [row for row in rows if not blocked.has(row)]

    def _take_new(self, room: Page, blocked: BlockedKeys) -> list[Waiting]:
        began = time.monotonic()
        self._postponed = began < self._next_scan_at
        if room.is_full or self._postponed:
            return []
        rows = waiting.new_messages(
            self._connection, room, self._urgent, blocked.ids, blocked.aggregates
        )
        if len(rows) < room.rows:
            # a slow scan passed over many held-back rows: do not repeat it for each new message
            now = time.monotonic()
            self._next_scan_at = now + self._scan_pause.rest(now - began)
        return rows
