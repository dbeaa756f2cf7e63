"""Keep-alive connections that are reused only while they are surely alive.

A peer that was cut off, or has lost the connection's state, sends nothing. A request on such a
connection gets no answer, and only a GET may be sent again.
"""

import socket
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ProtocolError

IDLE_SECONDS = 5.0
# for a connection in use, the kernel notices within ten seconds
SOCKET_OPTIONS = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]


class Pool(urllib3.HTTPConnectionPool):
    """A pool that closes a connection rather than use it after a pause of `IDLE_SECONDS`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **{"socket_options": SOCKET_OPTIONS, **named})

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)
        given_back = getattr(connection, "given_back", None)
        if given_back is not None and time.monotonic() - given_back > IDLE_SECONDS:
            connection.close()
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.given_back = time.monotonic()
        super()._put_conn(conn)


def was_closed(error: ProtocolError) -> bool:
    """Return whether the peer closed the connection, which may be one from an earlier request.

    A GET or HEAD, which may be sent twice, is then worth a retry.
    """
    return isinstance(error.args[-1], ConnectionError)


def cause(error: Exception) -> str:
    """Return whether nobody listens on the port, or the machine does not answer.

    Args:
        error: urllib3's error of a connection that failed.
    """
    refused = isinstance(error.__cause__, ConnectionRefusedError)
    return "connection_refused" if refused else "unreachable"
