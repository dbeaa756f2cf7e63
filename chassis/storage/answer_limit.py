"""A time limit for PostgreSQL's answers: a connection whose server is silent too long is closed.

The kernel notices a vanished machine (see `database.connect_args`). It does not notice a server
that hangs, as on a disk that does not respond: the server's kernel still acknowledges all packets,
and the hanging server does not enforce its own time limits.
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
    """Closes connections that have waited too long for an answer.

    It is called twice for each statement, so these calls do little.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[float, int]] = {}
        self._numbers = count()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs; after a fork it does not run any more."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
                self._thread.start()

    @contextmanager
    def over(self, driver: Any) -> Iterator[None]:
        """Limit the time of a block in which a connection waits for an answer."""
        number = self.begin(driver)
        try:
            yield
        finally:
            self.end(number)

    def begin(self, driver: Any) -> int:
        """Limit the time from now until `end` of the returned number."""
        number = next(self._numbers)
        if not driver.closed:
            self._waiting[number] = time.monotonic() + driver.answer_seconds, driver.fileno()
        return number

    def end(self, number: int) -> None:
        """End a limit."""
        with self._lock:
            self._waiting.pop(number, None)

    def _run(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            now = time.monotonic()
            # under the lock, so that no descriptor is closed and reused meanwhile
            with self._lock:
                for end, descriptor in list(self._waiting.values()):
                    if now > end:
                        _end(descriptor)


def _end(descriptor: int) -> None:
    """Shut a connection down for the thread that waits on it, as if its server had closed it."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as its_socket:
        its_socket.shutdown(socket.SHUT_RDWR)


_watch = _Watch()


class _Connection(connection):
    answer_seconds: float

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.prepared: dict[object, object] = {}  # see chassis.storage.prepared
        _watch.start()

    def commit(self) -> None:
        with _watch.over(self):
            super().commit()

    def rollback(self) -> None:
        if self.status == STATUS_READY:
            # there is nothing to roll back, so psycopg2 sends nothing
            super().rollback()
            return
        with _watch.over(self):
            super().rollback()


class _Cursor(cursor):
    def execute(self, *arguments: Any) -> None:
        # without a context manager, which costs as much as all the rest here
        number = _watch.begin(self.connection)
        try:
            super().execute(*arguments)
        finally:
            _watch.end(number)

    def executemany(self, *arguments: Any) -> None:
        with _watch.over(self.connection):
            super().executemany(*arguments)

    def fetchmany(self, *arguments: Any) -> Any:
        if self.name is None:
            # it has its rows already; a named cursor fetches them
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
    """Return psycopg2's arguments for connections that wait `seconds` at most for each answer.

    A connection closed by the limit is an outage, like one closed by its server:
    `OperationalError`.
    """
    factory = type("Connection", (_Connection,), {"answer_seconds": seconds})
    return {"connection_factory": factory, "cursor_factory": _Cursor}
