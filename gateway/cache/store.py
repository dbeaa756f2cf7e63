"""Stored answers in Redis, on kept connections.

A Redis that does not answer in time is left alone for a moment, so that not every request waits for
it.
"""

import logging
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path

from chassis.errors import first_line
from gateway.cache.redis_connection import BrokenReplyError, RedisConnection

SECONDS = 0.005
# failing for so long, Redis counts as unavailable: on a busy machine it may be late now and then
PATIENCE_SECONDS = 0.2
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds
_PING = b"*1\r\n$4\r\nPING\r\n"
KEPT = 32  # connections
_FAILURES = (OSError, BrokenReplyError)
logger = logging.getLogger(__name__)


class StoreUnavailableError(Exception):
    """Redis can't be reached, or does not answer in time."""


class Store:
    """Values that expire, for all threads of a process."""

    def __init__(self, socket: Path, seconds: float = SECONDS) -> None:
        """Prepare a store; it connects with the first command, which takes `seconds` at most."""
        self._socket = str(socket)
        self._seconds = seconds
        # append and pop are atomic; the last one used is the first one used again
        self._idle: list[RedisConnection] = []
        weakref.finalize(self, _close_all, self._idle)
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        self._is_available = True
        self._pause = SHORTEST_PAUSE
        self._try_at = 0.0

    def get(self, key: bytes) -> bytes | None:
        """Return a value; None if it was never stored, or has been removed.

        Raises:
            StoreUnavailableError: Redis does not answer.
        """
        packed = b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key)
        return self._ask(packed)

    def set(self, key: bytes, value: bytes, milliseconds: int) -> None:
        """Keep a value for so long, unless memory is short.

        Raises:
            StoreUnavailableError: Redis does not answer.
        """
        expiry = b"%d" % milliseconds
        packed = b"*5\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$2\r\nPX\r\n$%d\r\n%b\r\n"
        self._ask(packed % (len(key), key, len(value), value, len(expiry), expiry))

    def is_available(self) -> bool:
        """Return whether Redis answers, as far as this process knows."""
        return self._is_available

    def ping(self, seconds: float) -> None:
        """Ask Redis whether it is there, on a connection of its own; requests notice by themselves.

        Raises:
            StoreUnavailableError: Redis does not answer within `seconds`.
        """
        try:
            connection = RedisConnection(self._socket, seconds)
            try:
                connection.ask(_PING)
            finally:
                connection.close()
        except _FAILURES as error:
            raise StoreUnavailableError(first_line(error)) from error

    def _ask(self, packed: bytes) -> bytes | None:
        if not self._is_available:
            self._wait_for_turn()
        try:
            answer = self._answer(packed)
        except _FAILURES as error:
            self._note_failure(error)
            raise StoreUnavailableError(first_line(error)) from error
        if self._failing_since is not None:
            self._note_success()
        return answer

    def _answer(self, packed: bytes) -> bytes | None:
        connection = self._connection()
        try:
            answer = connection.ask(packed)
        except BaseException:
            # its answer may still come
            connection.close()
            raise
        if len(self._idle) < KEPT:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _connection(self) -> RedisConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return RedisConnection(self._socket, self._seconds)

    def _wait_for_turn(self) -> None:
        """Let one thread try while Redis is unavailable, once in a pause; refuse all others."""
        now = time.monotonic()
        with self._lock:
            if now < self._try_at:
                raise StoreUnavailableError
            self._try_at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _note_failure(self, error: Exception) -> None:
        # connections of a Redis that has ended
        _close_all(self._idle)
        now = time.monotonic()
        with self._lock:
            if self._failing_since is None:
                self._failing_since = now
            if not self._is_available or now - self._failing_since < PATIENCE_SECONDS:
                return
            self._is_available = False
            self._pause = SHORTEST_PAUSE
            self._try_at = now + self._pause
        logger.warning("the cache is unavailable", extra={"reason": first_line(error)})

    def _note_success(self) -> None:
        with self._lock:
            was_unavailable = not self._is_available
            self._is_available, self._failing_since = True, None
        if was_unavailable:
            logger.info("the cache is available again")


def _close_all(connections: list[RedisConnection]) -> None:
    while connections:
        # another thread may take the last one meanwhile
        with suppress(IndexError):
            connections.pop().close()
