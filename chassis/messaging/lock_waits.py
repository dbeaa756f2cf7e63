"""Messages that need a row that another transaction has locked: they wait, and others pass them.

A lock may be held for long, as by a psql session that somebody has left open. Messages of one
aggregate keep their order: later ones wait behind the first one that waits.
"""

import time
from collections.abc import Hashable

from chassis.messaging.delivery import Delivery
from chassis.messaging.window import BATCH

_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0  # seconds between attempts
_SHARE = 4  # a pause is so many times as long as the attempt before it


class LockWaits:
    """The unacknowledged messages, in a line for each aggregate."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, list[Delivery]] = {}
        self._began_at = self._next_at = 0.0

    def __bool__(self) -> bool:
        """Return whether any message waits."""
        return bool(self._lines)

    def deliveries(self) -> list[Delivery]:
        """Return all messages."""
        return [delivery for line in self._lines.values() for delivery in line]

    def holds(self, aggregate: Hashable | None) -> bool:
        """Return whether a message of this aggregate waits."""
        return aggregate is not None and aggregate in self._lines

    def add(self, aggregate: Hashable | None, delivery: Delivery) -> None:
        """Add a message behind those of its aggregate; without an aggregate it has its own line."""
        key = delivery if aggregate is None else aggregate
        self._lines.setdefault(key, []).append(delivery)

    def due(self) -> list[Delivery]:
        """Take the messages that are due: whole lines, in turn."""
        self._drop_lost()
        self._began_at = time.monotonic()
        taken: list[Delivery] = []
        while self._lines and len(taken) < BATCH and self._began_at >= self._next_at:
            taken += self._lines.pop(next(iter(self._lines)))
        return taken

    def rest(self) -> None:
        """Postpone the next attempt: most of the time belongs to other messages."""
        now = time.monotonic()
        pause = max(_SHORTEST_PAUSE, _SHARE * (now - self._began_at))
        self._next_at = now + min(pause, _LONGEST_PAUSE)

    def _drop_lost(self) -> None:
        lines = {key: [d for d in line if d.is_ours] for key, line in self._lines.items()}
        self._lines = {key: line for key, line in lines.items() if line}
