"""A service's own PostgreSQL: connections, transactions, health, and kinds of errors."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from psycopg2.errors import LockNotAvailable, ProgramLimitExceeded, QueryCanceled
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool

from chassis.settings import DatabaseSettings
from chassis.storage import after_commit
from chassis.storage.answer_limit import limited
from chassis.storage.connections import KeptConnections
from chassis.storage.notifier import Notifier

CONNECT_TIMEOUT = 2  # seconds
STATEMENT_TIMEOUT = 10_000  # milliseconds
ANSWER_SECONDS = 15.0
"""The limit of one statement; longer than a healthy server takes to cancel it."""
# below the statement time-out, so that a wait for a lock differs from a slow statement
LOCK_TIMEOUT = 9_000
# connection, transaction, login, catalog, conflict, resources, state, operator, system, settings
_OWN_CLASSES = frozenset(["08", "25", "28", "3D", "40", "53", "55", "57", "58", "F0"])
# missing schema, privilege, column, function, table
_OWN_CODES = frozenset(["3F000", "42501", "42703", "42883", "42P01"])
_OPTIONS = {
    "timezone": "UTC",
    "statement_timeout": STATEMENT_TIMEOUT,
    "lock_timeout": LOCK_TIMEOUT,
    # PostgreSQL plans for the first tenth of a cursor's rows; ours are mostly read to the end
    "cursor_tuple_fraction": 1,
    # what is prepared is planned once, whatever its parameters (see chassis.storage.prepared)
    "plan_cache_mode": "force_generic_plan",
}


def connect_args(place: Mapping[str, str], options: Mapping[str, object]) -> dict[str, Any]:
    """Return psycopg2's arguments for every connection, with `options` as its session settings.

    `place` is where libpq connects to, from `DatabaseSettings.place`.

    A server that vanishes without closing (halted, cut off) is noticed within about ten seconds: by
    keepalives while waiting for an answer, by `tcp_user_timeout` while sending.

    Source: PostgreSQL's manual, libpq, "Parameter Key Words".
    """
    return {
        **place,
        # whatever PGCLIENTENCODING, the role or the database say
        "client_encoding": "UTF8",
        "connect_timeout": CONNECT_TIMEOUT,
        "keepalives_idle": 3,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
    }


class Probe:
    """Checks a database over a new connection each time.

    A check on a kept connection would wait for a hanging server forever; connecting has a time
    limit.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._engine = create_engine(
            settings.url,
            poolclass=NullPool,
            connect_args=connect_args(settings.place, _OPTIONS) | limited(CONNECT_TIMEOUT),
        )

    def check(self) -> None:
        """Raise what is wrong if the database does not answer."""
        with self._engine.connect() as connection, _autocommit(connection):
            connection.execute(text("SELECT 1"))


class Database:
    """A pool of connections to one database.

    A connection that its server has closed is replaced when it is taken from the pool, so that no
    request fails after a restart of PostgreSQL.
    """

    def __init__(self, settings: DatabaseSettings, connections: int = 16) -> None:
        self.name = settings.name
        self._engine = create_engine(
            settings.url,
            pool_size=connections,
            max_overflow=0,
            connect_args=connect_args(settings.place, _OPTIONS) | limited(ANSWER_SECONDS),
        )
        self._kept = KeptConnections(self._engine, connections, CONNECT_TIMEOUT)
        self._probe = Probe(settings)
        self._notifier = Notifier()

    def autocommit(self) -> AbstractContextManager[Connection]:
        """Lend a connection in autocommit mode: single statements, without a transaction's cost."""
        return self._kept.lend(autocommit=True)

    @contextmanager
    def transaction(self, lock_seconds: float | None = None) -> Iterator[Connection]:
        """Lend a connection in a transaction: committed at the end, rolled back on an exception.

        What `after_commit` has noted is done after the commit.

        Args:
            lock_seconds: how long a statement may wait for a lock, `LOCK_TIMEOUT` if not given.
        """
        with self._kept.lend(autocommit=False) as connection:
            with connection.begin():
                noted = after_commit.collect(connection)
                if lock_seconds is not None:
                    milliseconds = round(1000 * lock_seconds)
                    connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
                yield connection
            if noted.channels:
                self._notify(connection, noted.channels)
        for act in noted.acts:
            act()

    def _notify(self, connection: Connection, channels: Collection[str]) -> None:
        with _autocommit(connection):
            self._notifier.send(connection.connection.driver_connection, channels)

    def check(self) -> None:
        """Raise what is wrong if the database does not answer."""
        self._probe.check()

    def close(self) -> None:
        """Close the pool's connections."""
        self._kept.close()
        self._engine.dispose()


@contextmanager
def _autocommit(connection: Connection) -> Iterator[None]:
    """Set autocommit on the driver; SQLAlchemy's isolation level costs a round trip to reset."""
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.autocommit = True
    try:
        yield
    finally:
        if not driver.closed:
            driver.autocommit = False


def is_statement_timeout(error: Exception) -> bool:
    """Return whether the database has cancelled a statement that took too long.

    For an API or a relay that is an outage like others. If it happens repeatedly to one message
    alone while others succeed, the message is at fault. A wait for a lock ends earlier
    (`LOCK_TIMEOUT`), and is no message's fault.
    """
    return isinstance(error, DBAPIError) and isinstance(error.orig, QueryCanceled)


def is_lock_timeout(error: Exception) -> bool:
    """Return whether a statement has waited too long for another transaction's lock."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, LockNotAvailable)


def is_outage(error: Exception) -> bool:
    """Return whether the database fails for any data: the caller waits instead of giving up.

    It is unavailable or read-only, or lacks a table or a privilege. An error caused by the data is
    no outage.
    """
    if isinstance(error, DataError | IntegrityError):
        return False
    if isinstance(error, DBAPIError) and isinstance(error.orig, ProgramLimitExceeded):
        return False
    return isinstance(error, DBAPIError | PoolTimeoutError)


def is_doubtful(error: Exception) -> bool:
    """Return whether an outage may be due to one statement's data, which `is_outage` can't know.

    A trigger that raises, or a value of the wrong type, may affect all statements or just one: just
    one, if others succeed. Error codes about the database's own state are never doubtful.

    Source: PostgreSQL's manual, appendix A, "PostgreSQL Error Codes".
    """
    if not (is_outage(error) and isinstance(error, DBAPIError)) or error.connection_invalidated:
        return False
    code = getattr(error.orig, "pgcode", None)
    return code is not None and code[:2] not in _OWN_CLASSES and code not in _OWN_CODES
