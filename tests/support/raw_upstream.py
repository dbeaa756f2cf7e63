"""A server whose reactions a test sets."""

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
Act = Callable[[socket.socket], None]


def answering(*parts: bytes, close: bool = False) -> Act:
    """Send these bytes to each request; then close the connection, if `close` is set."""

    def act(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        if close:
            connection.shutdown(socket.SHUT_RDWR)

    return act


def closing(connection: socket.socket) -> None:
    """Close the connection without an answer."""
    connection.shutdown(socket.SHUT_RDWR)


def silent(connection: socket.socket) -> None:
    """Never answer."""


@dataclass
class RawUpstream:
    """A server that records the bytes of each request and then reacts as the test says.

    It answers the first requests with `acts`, one each, and all further ones with the last.
    """

    acts: list[Act] = field(default_factory=lambda: [answering(OK)])
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Listen; on a free port unless one is given."""
        self.listener = socket.create_server((self.host, self.port))
        self.port = self.listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Close everything and wait for all threads."""
        self.stopped.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self.listener.close()

    def close_connections(self) -> None:
        """Close idle keep-alive connections, as a restarted upstream does."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def head(self) -> bytes:
        """The last request's line and headers."""
        return self.requests[-1].partition(b"\r\n\r\n")[0]

    @property
    def target(self) -> bytes:
        """The last request's target."""
        return self.head.split(b" ")[1]

    @property
    def body(self) -> bytes:
        """The last request's body."""
        return self.requests[-1].partition(b"\r\n\r\n")[2]

    def values(self, name: str) -> list[str]:
        """The last request's values of a header."""
        pairs = (line.decode("latin-1").split(": ", 1) for line in self.head.split(b"\r\n")[1:])
        return [pair[1] for pair in pairs if pair[0].lower() == name.lower()]

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while request := _request(connection):
                self.requests.append(request)
                number = min(len(self.requests), len(self.acts))
                self.acts[number - 1](connection)


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    while length and len(body) < int(length[1]):
        if not (part := connection.recv(65536)):
            return b""
        body += part
    return head + b"\r\n\r\n" + body
