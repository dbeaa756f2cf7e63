"""A service's own PostgreSQL: engine, reads, units of work, and whether it answers."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2.errors import ProgramLimitExceeded
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from chassis.settings import DatabaseSettings

CONNECT_TIMEOUT = 2  # seconds
STATEMENT_TIMEOUT = 10_000  # milliseconds


class Database:
    """A pool of connections to one database.

    Connections are tested when they are taken from the pool, so that a restarted PostgreSQL costs
    no request its answer.
    """

    def __init__(self, settings: DatabaseSettings, connections: int = 16) -> None:
        self.name = settings.name
        self._engine = create_engine(
            settings.url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT,
                "options": f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT}",
            },
        )
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Lend a connection for single statements: no transaction, so no round trip for one."""
        with self._autocommit.connect() as connection:
            yield connection

    @contextmanager
    def unit_of_work(self) -> Iterator[Connection]:
        """Lend a connection in a transaction that is rolled back unless the caller commits."""
        with self._engine.connect() as connection:
            yield connection

    def check(self) -> None:
        """Raise what is wrong if the database does not answer."""
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close the pool's connections."""
        self._engine.dispose()


def is_outage(error: Exception) -> bool:
    """Tell whether the database can't do its part, whatever the data: to wait for, not to give up.

    Away, read-only, without a table or a right; but not what it refuses because of the data.
    """
    if isinstance(error, DataError | IntegrityError):
        return False
    if isinstance(error, DBAPIError) and isinstance(error.orig, ProgramLimitExceeded):
        return False
    return isinstance(error, DBAPIError | PoolTimeoutError)
