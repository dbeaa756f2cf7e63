"""Kept connections: used again soon, and not after a pause."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chassis.http import keepalive
from chassis.http.call import Call
from chassis.http.keepalive import Pool


class Peer(BaseHTTPRequestHandler):
    """Answers with the port that the request came from."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = str(self.client_address[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def pool() -> Iterator[Pool]:
    """A pool of connections to a peer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    pool = Pool("127.0.0.1", server.server_port)
    yield pool
    pool.close()
    server.shutdown()
    thread.join()
    server.server_close()


def port_of_a_request(pool: Pool) -> int:
    """Send a request; returns the port that its connection has here."""
    return int(pool.call(Call("GET", "/", {}), time.monotonic() + 10, 1).data)


def test_a_connection_is_used_again_at_once(pool: Pool) -> None:
    assert port_of_a_request(pool) == port_of_a_request(pool)


def test_a_connection_is_not_used_again_after_a_pause(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = port_of_a_request(pool)
    monkeypatch.setattr(keepalive, "IDLE_SECONDS", -1)
    assert port_of_a_request(pool) != first
