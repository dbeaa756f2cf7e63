"""A limit for answers of PostgreSQL: a connection whose server is silent for too long is ended.

A machine that vanishes is noticed by the kernel (see `database.connect_args`). A server that hangs
is not, as on a disk that does not answer: its kernel acknowledges all that arrives, and its own
time limits are checked by nobody.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from psycopg2.extensions import STATUS_READY, connection, cursor

_TICK_SECONDS = 0.5


class _Watch:
    """Ends the connections that have waited for an answer until their time was over.

    It is asked twice a statement, so it does little there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[float, int]] = {}
        self._numbers = count()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch, unless it does already; after a fork it does not."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                self._thread.start()

    @contextmanager
    def over(self, driver: Any) -> Iterator[None]:
        """Watch a connection for a block in which it waits for an answer."""
        number = next(self._numbers)
        if not driver.closed:
            self._waiting[number] = time.monotonic() + driver.answer_seconds, driver.fileno()
        try:
            yield
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def _run(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            now = time.monotonic()
            # under the lock, so that no descriptor is closed, and given to another file, meanwhile
            with self._lock:
                for end, descriptor in list(self._waiting.values()):
                    if now > end:
                        _end(descriptor)


def _end(descriptor: int) -> None:
    """End a connection for whoever waits on it, as if its server had closed it."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as its_socket:
        its_socket.shutdown(socket.SHUT_RDWR)


_watch = _Watch()


class _Connection(connection):
    answer_seconds: float

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        _watch.start()

    def commit(self) -> None:
        with _watch.over(self):
            super().commit()

    def rollback(self) -> None:
        if self.status == STATUS_READY:
            # there is nothing to roll back, and nothing is asked
            super().rollback()
            return
        with _watch.over(self):
            super().rollback()


class _Cursor(cursor):
    def execute(self, *arguments: Any) -> None:
        with _watch.over(self.connection):
            super().execute(*arguments)

    def executemany(self, *arguments: Any) -> None:
        with _watch.over(self.connection):
            super().executemany(*arguments)

    def fetchmany(self, *arguments: Any) -> Any:
        if self.name is None:
            # it has its rows; one with a name asks for them
            return super().fetchmany(*arguments)
        with _watch.over(self.connection):
            return super().fetchmany(*arguments)

    def close(self) -> None:
        if self.name is None or self.closed:
            super().close()
            return
        with _watch.over(self.connection):
            super().close()


def limited(seconds: float) -> dict[str, Any]:
    """Return how psycopg2 makes a connection that waits at most so long for each answer.

    One that is ended is an outage, as one that its server has closed: `OperationalError`.
    """
    factory = type("Connection", (_Connection,), {"answer_seconds": seconds})
    return {"connection_factory": factory, "cursor_factory": _Cursor}
