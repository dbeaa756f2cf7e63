"""Keep-alive connections that are reused only while they are surely alive.

A peer that was cut off, or has lost the connection's state, sends nothing. A request on such a
connection gets no answer, and only a GET may be sent again.

Own code: `http.client`, on which `requests` and urllib3 are built, parses an answer in Python, and
limits each single read instead of the exchange. Both cost more than the gateway's whole own work.
"""

import time
import weakref

from chassis.http.answer import Answer
from chassis.http.call import Call
from chassis.http.connection import ClosedError, Connection

IDLE_SECONDS = 5.0


class Pool:
    """Connections to one server; all threads of a process share it."""

    def __init__(self, host: str, port: int) -> None:
        """Prepare a pool; it connects with the first call.

        Args:
            host: a name, or an IPv4 or IPv6 address.
            port: where the server listens.
        """
        self._host, self._port = host.strip("[]"), port
        name = f"[{self._host}]" if ":" in self._host else self._host
        self._authority = f"{name}:{port}"
        # a list's append and pop are atomic; the last one used is the first one used again
        self._idle: list[Connection] = []
        self._is_closed = False
        weakref.finalize(self, _close_all, self._idle)

    def call(self, call: Call, until: float, connect_seconds: float) -> Answer:
        """Return the answer to a request.

        GET and HEAD are sent once more if the connection is closed without an answer.

        Args:
            call: the request.
            until: the end of the whole exchange, by `time.monotonic`.
            connect_seconds: the longest time for a connection.

        Raises:
            ConnectError: the server can't be reached.
            TimeoutError: it has not answered in time.
            ClosedError: it closed the connection before any answer.
            BrokenAnswerError: its answer is broken.
            ValueError: the request can't be sent as it is.
        """
        request = call.encoded(self._authority)
        try:
            return self._attempt(call, request, until, connect_seconds)
        except ClosedError:
            if not call.is_repeatable:
                raise
            return self._attempt(call, request, until, connect_seconds)

    def close(self) -> None:
        """Close the idle connections, and the others after their exchanges."""
        self._is_closed = True
        _close_all(self._idle)

    def _attempt(self, call: Call, request: bytes, until: float, connect_seconds: float) -> Answer:
        connection, is_kept = self._connection(until, connect_seconds), False
        try:
            answer, is_kept = connection.exchange(call.method, request, until)
        finally:
            if not is_kept or self._is_closed:
                connection.close()
            else:
                self._idle.append(connection)
        return answer

    def _connection(self, until: float, connect_seconds: float) -> Connection:
        now = time.monotonic()
        left = until - now
        if left <= 0:
            raise TimeoutError
        while (connection := _popped(self._idle)) is not None:
            if now - connection.idle_since > IDLE_SECONDS:
                connection.close()
                _close_all(self._idle)  # they have been idle for longer
            elif connection.is_usable():
                return connection
            else:
                connection.close()
        return Connection(self._host, self._port, min(connect_seconds, left))


def _popped(connections: list[Connection]) -> Connection | None:
    try:
        return connections.pop()
    except IndexError:
        return None


def _close_all(connections: list[Connection]) -> None:
    while (connection := _popped(connections)) is not None:
        connection.close()
