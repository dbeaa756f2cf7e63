"""What a relay does besides relaying: measure the outbox, and delete what has served its time."""

import time
from collections.abc import Callable, Sequence

from prometheus_client import Gauge
from sqlalchemy import Connection

from chassis import outbox

OUTBOX_BACKLOG = Gauge("outbox_backlog", "Messages that the broker has not confirmed yet")
OUTBOX_LAG = Gauge("outbox_lag_seconds", "Age of the oldest message not confirmed yet")
_MEASURE_SECONDS = 2.0
_MEASURE_SHARE = 0.05  # of the time, at most: it is a look at the whole backlog
_TIDY_SECONDS = 60.0
Task = Callable[[Connection], object]


class Housekeeping:
    """Does its work when that is due, on the connection it is lent."""

    def __init__(self, tasks: Sequence[Task] = ()) -> None:
        self._tasks = tasks
        self._measure_at = 0.0
        self._tidy_at = 0.0
        self._more_to_purge = False

    def keep(self, connection: Connection) -> None:
        """Do what is due."""
        if time.monotonic() >= self._measure_at:
            self.measure(connection)
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + _TIDY_SECONDS
            self._tidy(connection)

    def measure(self, connection: Connection) -> None:
        """Set the gauges of backlog and lag."""
        began = time.monotonic()
        waiting, age = outbox.backlog(connection)
        OUTBOX_BACKLOG.set(waiting)
        OUTBOX_LAG.set(age)
        took = time.monotonic() - began
        self._measure_at = began + max(_MEASURE_SECONDS, took / _MEASURE_SHARE)

    def purge_more(self, connection: Connection) -> bool:
        """Delete another piece if there was more than the last; False if there is no more."""
        if self._more_to_purge:
            self._purge(connection)
        return self._more_to_purge

    def _tidy(self, connection: Connection) -> None:
        self._purge(connection)
        for task in self._tasks:
            task(connection)

    def _purge(self, connection: Connection) -> None:
        self._more_to_purge = outbox.purge(connection) == outbox.PIECE
