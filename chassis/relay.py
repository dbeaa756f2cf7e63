"""The relay: what is in the outbox goes to the broker, in order, and is marked when confirmed.

A message that the broker refuses (no queue for it) is passed by those behind it, and tried again.

One relay is active per outbox; it holds a session advisory lock, and a second one stands by.
"""

import logging
import select
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from typing import Any

from prometheus_client import Counter, Gauge
from sqlalchemy import Connection, create_engine, text

from chassis import outbox, trace
from chassis.broker import Message
from chassis.database import is_outage
from chassis.errors import BrokerUnavailableError
from chassis.publisher import Publisher
from chassis.settings import DatabaseSettings

OUTBOX_BACKLOG = Gauge("outbox_backlog", "Messages that the broker has not confirmed yet")
OUTBOX_LAG = Gauge("outbox_lag_seconds", "Age of the oldest message not confirmed yet")
OUTBOX_RELAYED = Counter("outbox_relayed_total", "Messages that the relay has delivered")
_LOCK = 7308044650  # one active relay in a database
BATCH = 500
_POLL_SECONDS = 5.0  # behind NOTIFY
_STANDBY_SECONDS = 2.0
_PAUSE_SECONDS = 0.5
_REFUSED_SECONDS = 2.0  # before what was refused is tried again
_HOUSEKEEPING_SECONDS = 60.0
_CONFIRM_SECONDS = 5.0
Housekeeping = Callable[[Connection], object]
logger = logging.getLogger(__name__)


class Relay:
    """Delivers one service's outbox until it is told to stop."""

    def __init__(
        self,
        settings: DatabaseSettings,
        publisher: Publisher,
        stop: threading.Event,
        housekeeping: Sequence[Housekeeping] = (),
    ) -> None:
        """Prepare a relay.

        Args:
            settings: the database with the outbox.
            publisher: started, and used by nothing else.
            stop: set when the relay shall end.
            housekeeping: what else to do from time to time in that database.
        """
        self.name = settings.name
        self._publisher = publisher
        self._stop = stop
        self._housekeeping = [outbox.purge, *housekeeping]
        # one connection, kept: it holds the lock and listens
        self._engine = create_engine(
            settings.url,
            pool_size=1,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            connect_args={"connect_timeout": 2, "options": "-c timezone=UTC"},
        )
        self._connected = False
        self._house_kept = 0.0
        self._passed = 0  # the last row of those that the broker did not take all of

    def check(self) -> None:
        """Raise what is wrong if the database is away."""
        if not self._connected:
            raise ConnectionError("no connection to the outbox")

    def run(self) -> None:
        """Relay until the stop event is set; wait out what is away."""
        while not self._stop.is_set():
            try:
                with self._engine.connect() as connection:
                    self._serve(connection)
            except Exception as error:
                if not is_outage(error):
                    raise
                reason = str(error).strip().partition("\n")[0]
                logger.warning("waiting for the database", extra={"reason": reason})
            finally:
                self._connected = False
                self._engine.dispose()
            self._stop.wait(_PAUSE_SECONDS)

    def _serve(self, connection: Connection) -> None:
        self._connected = True
        while not self._locked(connection):
            if self._stop.wait(_STANDBY_SECONDS):
                return
        logger.info("relaying", extra={"database": self.name})
        connection.execute(text(f"LISTEN {outbox.CHANNEL}"))
        while not self._stop.is_set():
            # before the look at the table, so that none is missed that comes after it
            _driver(connection).notifies.clear()
            more = self._relay_batch(connection)
            if not more or time.monotonic() > self._house_kept + _HOUSEKEEPING_SECONDS:
                self._keep_house(connection)
            if not more:
                self._wait_for_work(connection)

    def _locked(self, connection: Connection) -> bool:
        locked = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK})
        return bool(locked.scalar_one())

    def _relay_batch(self, connection: Connection) -> bool:
        """Deliver up to a batch; True if more may be waiting."""
        rows = outbox.unsent(connection, BATCH, after=self._passed)
        if not rows:
            return self._passed > 0 and self._begin_again()
        sent = self._deliver(rows)
        if sent:
            outbox.mark_sent(connection, sent)
            OUTBOX_RELAYED.inc(len(sent))
        if len(sent) < len(rows):
            self._measure(connection)
            self._go_on_after(rows[-1][0])
        return True

    def _go_on_after(self, row_id: int) -> None:
        """Try what is behind if the broker refused something; wait if it was away."""
        if self._publisher.is_ready():
            self._passed = row_id
        else:
            self._stop.wait(_PAUSE_SECONDS)
            self._publisher.wait_until_ready()

    def _begin_again(self) -> bool:
        """Try again, after a while, what the broker refused."""
        self._passed = 0
        return not self._stop.wait(_REFUSED_SECONDS)

    def _deliver(self, rows: Sequence[tuple[int, Message]]) -> list[int]:
        """Publish in order and wait for the confirms; return the rows that were confirmed."""
        handed: list[tuple[int, Message, Future[None]]] = []
        try:
            for row_id, message in rows:
                handed.append((row_id, message, self._publisher.submit(message)))
        except BrokerUnavailableError as error:
            logger.warning("outbox waits for the broker", extra={"reason": str(error)})
        wait_for_futures([future for _id, _message, future in handed], _CONFIRM_SECONDS)
        sent = [(row_id, message) for row_id, message, future in handed if _confirmed(future)]
        for _row_id, message in sent:
            _log(message)
        return [row_id for row_id, _message in sent]

    def _keep_house(self, connection: Connection) -> None:
        self._house_kept = time.monotonic()
        self._measure(connection)
        for task in self._housekeeping:
            task(connection)

    def _measure(self, connection: Connection) -> None:
        waiting, age = outbox.backlog(connection)
        OUTBOX_BACKLOG.set(waiting)
        OUTBOX_LAG.set(age)

    def _wait_for_work(self, connection: Connection) -> None:
        """Wait for a NOTIFY, the poll interval or the order to stop."""
        driver = _driver(connection)
        waited = 0.0
        while waited < _POLL_SECONDS and not self._stop.is_set():
            driver.poll()
            if driver.notifies:
                return
            select.select([driver], [], [], 0.5)
            waited += 0.5


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _confirmed(future: "Future[None]") -> bool:
    return future.done() and future.exception() is None


def _log(message: Message) -> None:
    with trace.within(trace.continued(message.headers)):
        destination = message.exchange or message.routing_key
        extra = {"message_id": message.id, "destination": destination}
        logger.info("message relayed", extra=extra)
