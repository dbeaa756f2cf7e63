"""Connections that are kept between uses, the last one used first.

Own code in front of SQLAlchemy's pool, which opens the connections: its own return and check-out of
a connection take longer than a read by primary key. The last one used first, so that no more are
opened than are in use at once.
"""

import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, PoolProxiedConnection
from sqlalchemy.exc import TimeoutError as PoolTimeoutError


class KeptConnections:
    """Up to `size` connections of an engine, each lent to one thread at a time.

    A connection that its server has closed is replaced when it is lent. After an error that closes
    one, the others are closed as well: their server may hang.
    """

    def __init__(self, engine: Engine, size: int, seconds: float) -> None:
        """Keep connections of `engine`; callers wait `seconds` for one at most."""
        self._engine = engine
        self._seconds = seconds
        self._permits = threading.Semaphore(size)
        self._idle: list[PoolProxiedConnection] = []

    @contextmanager
    def lend(self, *, autocommit: bool) -> Iterator[Connection]:
        """Lend a connection; a transaction that its user leaves open is rolled back.

        Args:
            autocommit: whether the driver commits each statement, without a round trip for it.

        Raises:
            sqlalchemy.exc.TimeoutError: all are in use for too long.
            sqlalchemy.exc.DBAPIError: the database can't be connected to.
        """
        if not self._permits.acquire(timeout=self._seconds):
            raise PoolTimeoutError(f"no connection has become free within {self._seconds} s")
        try:
            kept = self._take()
            driver: Any = kept.dbapi_connection
            if driver.autocommit is not autocommit:
                driver.autocommit = autocommit
            connection = Connection(self._engine, kept)
            try:
                yield connection
            finally:
                self._give_back(connection, kept)
        finally:
            self._permits.release()

    def close(self) -> None:
        """Close all that are not in use."""
        while kept := self._pop():
            kept.close()

    def _pop(self) -> PoolProxiedConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _take(self) -> PoolProxiedConnection:
        while kept := self._pop():
            driver: Any = kept.dbapi_connection
            if not driver.closed and not is_readable(driver.fileno()):
                return kept
            kept.invalidate()
        # opens one, with SQLAlchemy's errors
        connection = self._engine.connect()
        return connection.connection

    def _give_back(self, connection: Connection, kept: PoolProxiedConnection) -> None:
        if connection.invalidated or not kept.is_valid:
            while other := self._pop():
                other.invalidate()
            return
        try:
            connection.rollback()
        except BaseException:
            # SQLAlchemy has invalidated it if the connection was lost
            if kept.is_valid:
                kept.invalidate()
            raise
        self._idle.append(kept)


def is_readable(descriptor: int) -> bool:
    """Return whether the server has closed an idle connection, which is then readable (EOF).

    The kernel knows that without a round trip to the server.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
