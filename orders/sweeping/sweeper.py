"""The thread that sweeps, and the gauge of the orders that remain stuck."""

import logging
import random
import threading
from datetime import timedelta

from prometheus_client import Gauge

from chassis.errors import first_line
from chassis.storage.database import Database, is_outage
from orders import deleted_orders, earlier_sales
from orders.sweeping import needs, resending

ORDERS_STUCK = Gauge("orders_stuck", "Orders whose requests were sent again without an answer")
_LONGEST_INTERVAL, _JITTER = 10.0, 0.2  # seconds, share
logger = logging.getLogger(__name__)


class Sweeper:
    """Sweeps until it is stopped; several sweepers share the work."""

    def __init__(self, database: Database, after_seconds: float, stop: threading.Event) -> None:
        """Prepare a sweeper.

        Args:
            database: `orders_db`.
            after_seconds: how long an order may wait before its request is sent again.
            stop: set to end it.
        """
        self._database = database
        self._after = timedelta(seconds=after_seconds)
        self._interval = min(_LONGEST_INTERVAL, after_seconds / 4)
        self._stop = stop

    def run(self) -> None:
        """Sweep repeatedly, also after the database was unavailable."""
        while not self._stop.wait(self._interval * random.uniform(1 - _JITTER, 1 + _JITTER)):
            try:
                self.round()
            except Exception as error:
                if not is_outage(error):
                    raise
                logger.warning("waiting for the database", extra={"reason": first_line(error)})

    def round(self) -> None:
        """Sweep the orders that are due, and count those that remain stuck."""
        while self._sweep().has_more and not self._stop.is_set():
            logger.info("more orders are due")
        with self._database.autocommit() as connection:
            stuck = needs.count_stuck(connection) + deleted_orders.count_stuck(connection)
        ORDERS_STUCK.set(stuck)
        if stuck < earlier_sales.MAX_ASKED:
            self._ask_about_earlier_sales()

    def _ask_about_earlier_sales(self) -> None:
        with self._database.transaction() as connection:
            earlier_sales.ask(connection)

    def _sweep(self) -> resending.SweepResult:
        with self._database.transaction() as connection:
            swept = resending.sweep(connection, self._after, self._after)
        return swept
