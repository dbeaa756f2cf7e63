"""The relay: what is in the outbox goes to the broker, and is marked when confirmed.

Messages of one aggregate keep their order: one is published when the one before it is confirmed. A
message that the broker refuses holds up those behind it in its aggregate, and is passed by all
others.

One relay is active per outbox; it holds a session advisory lock, and a second one stands by.
"""

import logging
import select
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

import psycopg2
from sqlalchemy import Connection, create_engine, text

from chassis.errors import first_line
from chassis.http import process as worker
from chassis.messaging.publisher import Publisher
from chassis.messaging.topology import Topology
from chassis.outbox import table as outbox
from chassis.outbox.dispatcher import Dispatch
from chassis.outbox.maintenance import Housekeeping
from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    PortSettings,
    RetentionSettings,
    ServerSettings,
)
from chassis.storage.answer_limit import limited
from chassis.storage.database import Probe, connect_args, is_outage
from chassis.storage.retention import Expiry, Retention, Task

_LOCK = 7308044650  # one active relay in a database
_POLL_SECONDS = 5.0  # behind NOTIFY
_TICK_SECONDS = 0.5
_STANDBY_SECONDS = 2.0
_PAUSE_SECONDS = 0.5
_HANGS_SECONDS = 10.0  # longer than it rests
# longer than it takes to notice that the broker is gone: it then is sure that none will come
_CONFIRM_SECONDS = 30.0
_ANSWER_SECONDS = 60.0  # more than the longest look at a backlog takes
_SESSION = {
    "timezone": "UTC",
    # the lock of a machine that has vanished is free within ten seconds
    "tcp_keepalives_idle": 3,
    "tcp_keepalives_interval": 1,
    "tcp_keepalives_count": 3,
    # an outbox fills and empties faster than its statistics are made: by its indexes, always
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "max_parallel_workers_per_gather": 0,
    "jit": "off",
}
logger = logging.getLogger(__name__)


class RelaySettings(Protocol):
    """What a service's settings say of its relay process."""

    @property
    def server(self) -> ServerSettings:
        """Where it answers for its health."""

    @property
    def relay_port(self) -> PortSettings:
        """At which port."""

    @property
    def database(self) -> DatabaseSettings:
        """The database with the outbox."""

    @property
    def broker(self) -> BrokerSettings:
        """Where the messages go."""

    @property
    def retention(self) -> RetentionSettings:
        """How long rows are kept."""


def run(
    process: str,
    settings: RelaySettings,
    topology: Topology,
    stop: threading.Event,
    expiries: Sequence[Expiry] = (),
    tasks: Sequence[Task] = (),
) -> None:
    """Be the relay process of a service until `stop` is set.

    Args:
        process: its PM2 name.
        settings: the service's.
        topology: what has to be there before anything is published.
        stop: set when it shall end.
        expiries: what else of that database is deleted after some time, besides the outbox.
        tasks: what else is done in that database once a minute.
    """
    publisher = Publisher(settings.broker, process, topology)
    publisher.start()
    relay = Relay(settings.database, publisher, stop)
    worker.serve_health(process, [relay, publisher], settings.server, settings.relay_port)
    every = [outbox.expiry(settings.retention), *expiries]
    worker.run_together(stop, relay.run, Retention(settings.database, every, stop, tasks).run)
    publisher.close()


class Relay:
    """Delivers one service's outbox until it is told to stop."""

    def __init__(
        self,
        settings: DatabaseSettings,
        publisher: Publisher,
        stop: threading.Event,
        confirm_seconds: float = _CONFIRM_SECONDS,
    ) -> None:
        """Prepare a relay.

        Args:
            settings: the database with the outbox.
            publisher: started, and used by nothing else.
            stop: set when the relay shall end.
            confirm_seconds: how long to wait for a confirm before a message is published again.
        """
        self.name = settings.name
        self._publisher = publisher
        self._stop = stop
        self._house = Housekeeping()
        self._confirm_seconds = confirm_seconds
        # one connection, kept: it holds the lock and listens
        self._engine = create_engine(
            settings.url,
            pool_size=1,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            connect_args=connect_args(settings.place, _SESSION) | limited(_ANSWER_SECONDS),
        )
        self._probe = Probe(settings)
        self._connected = False
        self._moved_at = 0.0  # when it last did something: a statement may wait for a lock

    def check(self) -> None:
        """Raise what is wrong if the database is unavailable, or hangs."""
        if not self._connected:
            raise ConnectionError("no connection to the outbox")
        idle = time.monotonic() - self._moved_at
        if idle > _HANGS_SECONDS:
            raise ConnectionError(f"the outbox has not answered for {idle:.0f} s")
        self._probe.check()

    def run(self) -> None:
        """Relay until the stop event is set; wait out what is away."""
        while not self._stop.is_set():
            try:
                with self._engine.connect() as connection:
                    self._serve(connection)
            except Exception as error:
                # LISTEN is psycopg2's own, and so are its errors
                if not is_outage(error) and not isinstance(error, psycopg2.Error):
                    raise
                logger.warning("waiting for the database", extra={"reason": first_line(error)})
            finally:
                self._connected = False
                self._engine.dispose()
            self._stop.wait(_PAUSE_SECONDS)

    def _serve(self, connection: Connection) -> None:
        self._moved_at = time.monotonic()
        self._connected = True
        if not self._becomes_active(connection):
            return
        logger.info("relaying", extra={"database": self.name})
        connection.execute(text(f"LISTEN {outbox.CHANNEL}"))
        self._publisher.wait_until_ready()
        dispatch = Dispatch(connection, self._publisher, self._confirm_seconds)
        try:
            self._relay(connection, dispatch)
            dispatch.finish()
        finally:
            dispatch.abandon()

    def _becomes_active(self, connection: Connection) -> bool:
        """Stand by until no other relay is active; False if this one shall stop."""
        while not self._locked(connection):
            self._moved_at = time.monotonic()
            self._house.measure(connection)
            if self._stop.wait(_STANDBY_SECONDS):
                return False
        return True

    def _locked(self, connection: Connection) -> bool:
        locked = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK})
        return bool(locked.scalar_one())

    def _relay(self, connection: Connection, dispatch: Dispatch) -> None:
        while not self._stop.is_set():
            # before the look at the table, so that none is missed that comes after it
            _driver(connection).notifies.clear()
            busy = dispatch.step()
            self._moved_at = time.monotonic()
            self._house.keep(connection)
            if not busy:
                self._rest(connection, dispatch)

    def _rest(self, connection: Connection, dispatch: Dispatch) -> None:
        """Wait for a NOTIFY, the next try, the poll interval or the order to stop."""
        end = time.monotonic() + _POLL_SECONDS
        while not (self._stop.is_set() or _notified(connection) or time.monotonic() > end):
            pause = min(dispatch.pause(), _TICK_SECONDS)
            if dispatch.waits_for_broker():
                self._publisher.wait_until_ready(pause)
                return
            select.select([_driver(connection)], [], [], pause)
            if dispatch.pause() <= 0:
                return
            self._house.keep(connection)
            self._moved_at = time.monotonic()


def _notified(connection: Connection) -> bool:
    driver = _driver(connection)
    driver.poll()
    return bool(driver.notifies)


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
