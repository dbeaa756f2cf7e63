"""A connection to another service, for one exchange of request and answer after another.

The time of an exchange is limited as a whole: an answer that drips ends with it. The kernel limits
each wait (`SO_RCVTIMEO`, socket(7)), so a usual exchange is one send and one receive.
"""

import math
import select
import socket
import struct
import time

from chassis.http.answer import Answer, AnswerReader, BrokenAnswerError

_SEGMENT = 65_536
_TOLERANCE = 0.005
"""A wait may end so much earlier or later, in seconds, so that not each needs a system call."""
_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # for a connection in use, the kernel notices within ten seconds that the peer is gone
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class ConnectError(Exception):
    """No connection can be made.

    Attributes:
        cause: `connection_refused` if nobody listens on the port, `unreachable` otherwise.
        is_timeout: the machine has neither accepted nor refused within the time.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__((error.strerror or str(error)).lower())
        refused = isinstance(error, ConnectionRefusedError)
        self.cause = "connection_refused" if refused else "unreachable"
        self.is_timeout = isinstance(error, TimeoutError)


class ClosedError(Exception):
    """The peer closed the connection, perhaps one from an earlier exchange, before any answer."""


class Connection:
    """A connection; used by one thread at a time.

    Attributes:
        idle_since: when its last exchange ended, by `time.monotonic`.
    """

    def __init__(self, host: str, port: int, seconds: float) -> None:
        """Connect within the time, to the first address of the host that accepts.

        Raises:
            ConnectError: none accepts, or the host has no address.
        """
        self._socket = _connected(host, port, time.monotonic() + seconds)
        self._poller = select.poll()
        self._poller.register(self._socket, select.POLLIN)
        self._limit = math.inf
        self.idle_since = 0.0

    def is_usable(self) -> bool:
        """Return whether the idle connection is open, and has nothing to read.

        A connection that the server closed is readable (EOF). Bytes that nobody has asked for would
        be taken as the next answer.
        """
        return not self._poller.poll(0)

    def exchange(self, method: str, request: bytes, until: float) -> tuple[Answer, bool]:
        """Send a request and return its answer, and whether the connection may be used again.

        Args:
            method: the request's method.
            request: the whole request.
            until: the end of the exchange, by `time.monotonic`.

        Raises:
            TimeoutError: the answer is not complete in time.
            ClosedError: the peer closed the connection before any answer.
            BrokenAnswerError: the answer is broken.
        """
        reader = AnswerReader(method)
        try:
            is_sent = self._send(request, reader, until)
            while not reader.is_complete:
                self._receive(reader, until)
        finally:
            reader.close()
        self.idle_since = time.monotonic()
        return reader.answer(), is_sent and reader.leaves_usable

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _send(self, request: bytes, reader: AnswerReader, until: float) -> bool:
        """Send the request; return False if the peer has stopped reading, or answers before."""
        try:
            sent = self._send_now(request)
            return sent == len(request) or self._send_rest(request, sent, reader, until)
        except ConnectionError:
            return False  # the peer may have answered before; reading tells

    def _send_now(self, data: bytes | memoryview) -> int:
        """Send what the kernel takes at once; return how many bytes that are."""
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _send_rest(self, request: bytes, sent: int, reader: AnswerReader, until: float) -> bool:
        """Send the rest as the peer takes it, and read what it answers meanwhile."""
        poller, rest = select.poll(), memoryview(request)[sent:]
        poller.register(self._socket, select.POLLIN | select.POLLOUT)
        while rest and not reader.is_complete:
            events = poller.poll(_seconds_left(until) * 1000)
            if not events:
                raise TimeoutError
            if events[0][1] == select.POLLOUT:
                rest = rest[self._send_now(rest) :]
            else:
                self._receive(reader, until)
        return not rest

    def _receive(self, reader: AnswerReader, until: float) -> None:
        self._limit_wait(_seconds_left(until))
        try:
            data = self._socket.recv(_SEGMENT)
        except BlockingIOError:
            raise TimeoutError from None
        except ConnectionError as error:
            if reader.is_begun:
                raise BrokenAnswerError("the connection was lost amid the answer") from error
            raise ClosedError from error
        if not data and not reader.is_begun:
            raise ClosedError
        reader.feed(data)

    def _limit_wait(self, seconds: float) -> None:
        if abs(seconds - self._limit) > _TOLERANCE:
            whole = int(seconds)
            # zero would mean no limit
            limit = struct.pack("ll", whole, max(1, int((seconds - whole) * 1_000_000)))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            self._limit = seconds


def _seconds_left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connected(host: str, port: int, until: float) -> socket.socket:
    failure: OSError = OSError("the name has no address")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _name, address in addresses:
            try:
                return _connected_to(socket.socket(family, kind, protocol), address, until)
            except OSError as error:
                failure = error
    except OSError as error:
        failure = error
    raise ConnectError(failure) from failure


def _connected_to(made: socket.socket, address: object, until: float) -> socket.socket:
    try:
        for option in _OPTIONS:
            made.setsockopt(*option)
        made.settimeout(_seconds_left(until))
        made.connect(address)  # type: ignore[arg-type]
        made.settimeout(None)
    except BaseException:
        made.close()
        raise
    return made
