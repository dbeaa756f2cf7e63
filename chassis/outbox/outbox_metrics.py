"""Gauges of the outbox, which its relay sets."""

import time

from prometheus_client import Gauge
from sqlalchemy import Connection

from chassis.outbox import table as outbox
from chassis.outbox.scan_pause import ScanPause

OUTBOX_BACKLOG = Gauge("outbox_backlog", "Messages that the broker has not confirmed yet")
OUTBOX_LAG = Gauge("outbox_lag_seconds", "Age of the oldest message not confirmed yet")
_MEASURE_SECONDS = 2.0
_MEASURE_SHARE = 0.05  # of the time: it scans the whole backlog
_LONGEST_REST = 10.0


class OutboxMetrics:
    """Measures when that is due, on a connection of the relay's."""

    def __init__(self) -> None:
        self._measure_at = 0.0
        self._scan_pause = ScanPause(_MEASURE_SHARE, _LONGEST_REST)

    def measure_if_due(self, connection: Connection) -> None:
        """Measure if it is time."""
        if time.monotonic() >= self._measure_at:
            self.measure(connection)

    def measure(self, connection: Connection) -> None:
        """Set the gauges of backlog and lag."""
        began = time.monotonic()
        waiting, age = outbox.backlog(connection)
        OUTBOX_BACKLOG.set(waiting)
        OUTBOX_LAG.set(age)
        now = time.monotonic()
        self._measure_at = now + max(_MEASURE_SECONDS, self._scan_pause.rest(now - began))
