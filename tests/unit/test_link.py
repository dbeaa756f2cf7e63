"""The tests' link to a server: what its clients see while the server accepts no connection."""

import socket

from tests.support.link import HOST, linked
from tools.stack.ports import free_port

SECONDS = 10


def connected(port: int) -> socket.socket:
    """A connection that gives no answer longer than ten seconds."""
    return socket.create_connection((HOST, port), SECONDS)


def test_a_refused_connection_ends_and_the_next_one_reaches_the_server() -> None:
    target = free_port(HOST)
    with linked(target) as link:
        for _ in range(2):
            with connected(link.port) as client:
                assert client.recv(1) == b""
        with socket.create_server((HOST, target)) as server, connected(link.port) as client:
            server.settimeout(SECONDS)
            accepted, _address = server.accept()
            with accepted:
                accepted.sendall(b"there")
                assert client.recv(5) == b"there"
