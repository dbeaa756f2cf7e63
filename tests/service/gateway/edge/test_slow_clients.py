"""Slow senders and idle connections: they are cut off, or keep nobody else out."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
import requests

from chassis.settings import DatabaseSettings
from tests.support.raw_upstream import RawUpstream
from tests.support.served import SECONDS, Served, gateway_variables, received, serving
from tools.stack.waiting import wait_until

GET = b"GET /api/movies HTTP/1.1\r\nHost: h\r\n\r\n"
THREADS, CONNECTIONS = 4, 512


@pytest.fixture(scope="module")
def gateway(
    database_settings: Callable[[str], DatabaseSettings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A gateway of one process with few threads, before an inventory that answers at once."""
    upstream = RawUpstream()
    variables = gateway_variables(database_settings("gateway"), inventory=upstream.port)
    variables |= {"GATEWAY_WORKERS": "1", "GATEWAY_THREADS": str(THREADS)}
    with serving("gateway", variables, tmp_path_factory.mktemp("slow")) as served:
        yield served
    upstream.close()


def test_a_client_that_sends_one_header_byte_a_second_is_cut_off(gateway: Served) -> None:
    with gateway.connect() as connection:
        started, ended = time.monotonic(), threading.Event()

        def dribble() -> None:
            with suppress(OSError):
                for byte in GET[:-2] + b"X-Slow: " + b"a" * int(SECONDS):
                    connection.sendall(bytes([byte]))
                    if ended.wait(1):
                        return

        sender = threading.Thread(target=dribble)
        sender.start()
        reply = received(connection)
        ended.set()
        sender.join()
    assert reply.closed and reply.statuses in ([], [408])
    assert time.monotonic() - started < len(GET)  # seconds, as all of it would have taken


@pytest.mark.parametrize("before", [b"", GET])
def test_an_idle_connection_is_closed(gateway: Served, before: bytes) -> None:
    reply = gateway.exchange(before)
    assert reply.closed and reply.statuses == [200] * bool(before)


def test_idle_connections_block_others_only_for_the_idle_time_limit(gateway: Served) -> None:
    with ExitStack() as idle:
        for _ in range(CONNECTIONS + 50):
            idle.enter_context(gateway.connect())
        assert requests.get(f"{gateway.url}/live", timeout=SECONDS).status_code == 200


def test_slow_bodies_leave_threads_for_requests_without_one(gateway: Served) -> None:
    with ExitStack() as slow:
        begun = [slow.enter_context(beginning(gateway)) for _ in range(THREADS * 5)]
        others = len(begun) - max(1, THREADS // 8)
        wait_until(lambda: len(heard(begun)) >= others, SECONDS, "the others to be turned away")
        turned_away = heard(begun)
        replies = [received(connection) for connection in turned_away]
        assert [reply.statuses for reply in replies] == [[503]] * others
        assert all(b'"cause":"slow_bodies"' in reply.data for reply in replies)
        for _ in range(20):
            assert requests.get(f"{gateway.url}/api/movies", timeout=SECONDS).status_code == 200
        refused = posted(gateway)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert heard(begun) == turned_away
    wait_until(lambda: posted(gateway).status_code == 200, SECONDS, "the place to be free")


def beginning(gateway: Served) -> socket.socket:
    """A connection with the beginning of a body, of which nothing more comes."""
    connection = gateway.connect()
    connection.sendall(
        b"POST /api/movies HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    return connection


def heard(connections: list[socket.socket]) -> list[socket.socket]:
    """Those on which the gateway has said something, or which it has closed."""
    return select.select(connections, [], [], 0)[0]


def posted(gateway: Served) -> requests.Response:
    """The answer to a body that comes at once."""
    return requests.post(f"{gateway.url}/api/movies", json={}, timeout=SECONDS)
