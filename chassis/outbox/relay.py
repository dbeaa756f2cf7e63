"""The relay: publishes the messages of an outbox, and marks them when they are confirmed.

Messages of one aggregate keep their order: each is published when the one before it is confirmed. A
refused message holds up the messages behind it in its aggregate, and no others.

One relay is active per outbox: it holds a session advisory lock. A second one stands by.
"""

import logging
import select
import threading
import time
from typing import Any

import psycopg2
from sqlalchemy import Connection, create_engine, text

from chassis.errors import first_line
from chassis.gathering import pause_after
from chassis.messaging.publisher import Publisher
from chassis.outbox import table as outbox
from chassis.outbox.dispatcher import Dispatcher
from chassis.outbox.lanes import BATCH
from chassis.outbox.outbox_metrics import OutboxMetrics
from chassis.settings import DatabaseSettings
from chassis.storage.answer_limit import limited
from chassis.storage.database import Probe, connect_args, is_outage

_LOCK = 7308044650  # one active relay in a database
_POLL_SECONDS = 2.0  # in case a NOTIFY is missed, as after a crash between commit and NOTIFY
_TICK_SECONDS = 0.5
_STANDBY_SECONDS = 2.0
_PAUSE_SECONDS = 0.5
_HANGS_SECONDS = 10.0  # longer than any rest
# longer than it takes to notice a dead broker: after that no confirm can come
_CONFIRM_SECONDS = 30.0
_ANSWER_SECONDS = 60.0  # longer than the slowest scan of a backlog
_SESSION = {
    "timezone": "UTC",
    # the lock of a vanished machine is free within ten seconds
    "tcp_keepalives_idle": 3,
    "tcp_keepalives_interval": 1,
    "tcp_keepalives_count": 3,
    # an outbox fills and empties faster than its statistics are updated: always use its indexes
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "max_parallel_workers_per_gather": 0,
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}
logger = logging.getLogger(__name__)


class Relay:
    """Delivers one service's outbox until it is told to stop."""

    def __init__(
        self,
        settings: DatabaseSettings,
        publisher: Publisher,
        stop: threading.Event,
        confirm_seconds: float = _CONFIRM_SECONDS,
        batch: int = BATCH,
        is_durable: bool = False,
    ) -> None:
        """Prepare a relay.

        Args:
            settings: the database with the outbox.
            publisher: started, and used by nothing else.
            stop: set to end the relay.
            confirm_seconds: how long to wait for a confirm before a message is published again.
            batch: how many messages of a lane may be in flight at once.
            is_durable: whether the marks of sent messages survive a crash of the database. If not,
                the last ones may be lost, and their messages are published again, in order.
        """
        self.name = settings.name
        self._publisher = publisher
        self._stop = stop
        self._metrics = OutboxMetrics()
        self._confirm_seconds = confirm_seconds
        self._batch = batch
        # what is lost in a crash are the last marks: of an aggregate's messages the later ones
        session = {**_SESSION, "synchronous_commit": "on" if is_durable else "off"}
        # one connection, kept open: it holds the lock and listens
        self._engine = create_engine(
            settings.url,
            pool_size=1,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            connect_args=connect_args(settings.place, session) | limited(_ANSWER_SECONDS),
        )
        self._probe = Probe(settings)
        self._connected = False
        self._last_step_at = 0.0  # monotonic; old while a statement waits for a lock

    def check(self) -> None:
        """Raise what is wrong if the database is unavailable, or hangs."""
        if not self._connected:
            raise ConnectionError("no connection to the outbox")
        idle = time.monotonic() - self._last_step_at
        if idle > _HANGS_SECONDS:
            raise ConnectionError(f"the outbox has not answered for {idle:.0f} s")
        self._probe.check()

    def run(self) -> None:
        """Relay until the stop event is set; wait while the database is unavailable."""
        while not self._stop.is_set():
            try:
                with self._engine.connect() as connection:
                    self._serve(connection)
            except Exception as error:
                # notifications come from psycopg2 itself, with its own errors
                if not is_outage(error) and not isinstance(error, psycopg2.Error):
                    raise
                logger.warning("waiting for the database", extra={"reason": first_line(error)})
            finally:
                self._connected = False
                self._engine.dispose()
            self._stop.wait(_PAUSE_SECONDS)

    def _serve(self, connection: Connection) -> None:
        self._last_step_at = time.monotonic()
        self._connected = True
        if not self._becomes_active(connection):
            return
        logger.info("relaying", extra={"database": self.name})
        connection.execute(text(f"LISTEN {outbox.CHANNEL}"))
        self._publisher.wait_until_ready()
        dispatcher = Dispatcher(connection, self._publisher, self._confirm_seconds, self._batch)
        try:
            self._relay(connection, dispatcher)
            dispatcher.finish()
        finally:
            dispatcher.abandon()

    def _becomes_active(self, connection: Connection) -> bool:
        """Stand by until no other relay is active; False if told to stop."""
        while not self._locked(connection):
            self._last_step_at = time.monotonic()
            self._metrics.measure(connection)
            if self._stop.wait(_STANDBY_SECONDS):
                return False
        return True

    def _locked(self, connection: Connection) -> bool:
        locked = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK})
        return bool(locked.scalar_one())

    def _relay(self, connection: Connection, dispatcher: Dispatcher) -> None:
        while not self._stop.is_set():
            # before the scan of the table, so that no later notification is missed
            _driver(connection).notifies.clear()
            began = time.monotonic()
            busy = dispatcher.step()
            self._last_step_at = time.monotonic()
            self._metrics.measure_if_due(connection)
            self._stop.wait(pause_after(dispatcher.taken, self._last_step_at - began))
            if not busy:
                self._rest(connection, dispatcher)

    def _rest(self, connection: Connection, dispatcher: Dispatcher) -> None:
        """Wait for a NOTIFY, the next retry, the poll interval or the stop event."""
        end = time.monotonic() + _POLL_SECONDS
        while not (self._stop.is_set() or _notified(connection) or time.monotonic() > end):
            pause = min(dispatcher.pause(), _TICK_SECONDS)
            if dispatcher.waits_for_broker():
                self._publisher.wait_until_ready(pause)
                return
            select.select([_driver(connection)], [], [], pause)
            if dispatcher.pause() <= 0:
                return
            self._metrics.measure_if_due(connection)
            self._last_step_at = time.monotonic()


def _notified(connection: Connection) -> bool:
    driver = _driver(connection)
    driver.poll()
    return bool(driver.notifies)


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
