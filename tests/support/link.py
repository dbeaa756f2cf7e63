"""A connection to a server that a test can cut while the server keeps running."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tools.stack.ports import free_port

HOST = "127.0.0.1"
AT_ONCE = 65_536  # octets


class Link:
    """A port that passes connections on to a server's port, until it is cut.

    To its clients a cut looks like a killed server: connections end and new ones are refused. It
    takes no time, while RabbitMQ takes seconds to start again.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port(HOST)
        self._target = target
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []

    def open(self) -> None:
        """Accept connections."""
        self._listener = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """End all connections and accept no more."""
        listener, self._listener = self._listener, None
        with self._lock:
            ends, self._ends = self._ends, []
        for end in [*([listener] if listener else []), *ends]:
            # wakes the thread that waits for it
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Make the server unreachable during the block."""
        self.close()
        try:
            yield
        finally:
            self.open()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _address = listener.accept()
                self._connect(listener, client)

    def _connect(self, listener: socket.socket, client: socket.socket) -> None:
        try:
            server = socket.create_connection((HOST, self._target))
        except OSError:
            # to the client that is a server that ends the connection; the next one may succeed
            client.close()
            return
        with self._lock:
            self._ends += [client, server]
        if listener is not self._listener:
            # it was cut meanwhile
            client.close()
            server.close()
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    """Pass on all bytes until one of the two ends."""
    with suppress(OSError):
        while data := source.recv(AT_ONCE):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def linked(target: int) -> Iterator[Link]:
    """Lend a link to a port of 127.0.0.1; it is open."""
    link = Link(target)
    link.open()
    try:
        yield link
    finally:
        link.close()
