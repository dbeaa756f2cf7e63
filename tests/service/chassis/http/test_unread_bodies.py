"""Refused requests whose bodies are not read: clients get the answer, also through a proxy."""

import select
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from chassis.settings import DatabaseSettings
from tests.support.served import (
    READ_LIMIT_IS_SET,
    SECONDS,
    Reply,
    Served,
    gateway_variables,
    inventory_variables,
    received,
    serving,
)
from tools.stack.ports import free_port
from tools.stack.waiting import wait_until

BODY = b"x" * 3_000_000
JSON = b"Content-Type: application/json"
THREADS = 2 * 16  # of a gateway of two workers
Settings = Callable[[str], DatabaseSettings]


class Relay:
    """What forwards a port, as a virtual machine's network does: bytes, until one side closes."""

    def __init__(self, target: int) -> None:
        """Listen, on a free port."""
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Forward no new connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._forward, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _forward(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._target))
        with client, server, selectors.DefaultSelector() as ready, suppress(OSError):
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select():
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    if not (data := source.recv(16 * 1024)):
                        return
                    key.data.sendall(data)


@pytest.fixture(scope="module")
def services(
    database_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Served]]:
    """A gateway and an inventory."""
    home, stack = tmp_path_factory.mktemp("unread"), ExitStack()
    with stack:
        inventory = stack.enter_context(
            serving("inventory", inventory_variables(database_settings("inventory")), home)
        )
        variables = gateway_variables(database_settings("gateway"), inventory=inventory.port)
        variables |= {
            "AUTH_PROTECTED": "orders",
            "RATE_LIMIT_WRITES": "none",
            "GATEWAY_THREADS": "16",
        }
        gateway = stack.enter_context(serving("gateway", variables, home))
        limited = gateway_variables(database_settings("gateway"), inventory=free_port())
        limited |= {"RATE_LIMIT_WRITES": "1/day"}
        (home / "limited").mkdir()
        strict = stack.enter_context(serving("gateway", limited, home / "limited"))
        yield {"gateway": gateway, "inventory": inventory, "limited": strict}


def request(path: bytes, *headers: bytes, chunked: bool, body: bytes = BODY) -> list[bytes]:
    """A POST, its headers and body apart, as most clients send them."""
    if chunked:
        pieces = [body[at : at + 60_000] for at in range(0, len(body), 60_000)]
        data = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        way = b"Transfer-Encoding: chunked"
    else:
        data, way = body, b"Content-Length: %d" % len(body)
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: h", way, b"Connection: close", *headers]
    return [b"\r\n".join(lines) + b"\r\n\r\n", data]


def sent(port: int, parts: list[bytes]) -> Reply:
    """Send all parts, come what may, then read what was answered."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        for part in parts:
            connection.sendall(part)
        return received(connection)


@contextmanager
def way_to(served: Served, through_relay: bool) -> Iterator[int]:
    """The port of a service, or of a relay before it."""
    if not through_relay:
        yield served.port
        return
    relay = Relay(served.port)
    try:
        yield relay.port
    finally:
        relay.close()


@pytest.mark.parametrize("through_relay", [False, True], ids=["direct", "relayed"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("service", "path", "headers", "status"),
    [
        ("gateway", b"/api/movies", [JSON], 413),
        ("gateway", b"/api/billing", [JSON], 413),
        ("gateway", b"/api/events/a/b/c", [JSON], 413),
        ("gateway", b"/api/orders", [JSON], 401),
        ("gateway", b"/api/billing", [b"Content-Type: text/plain"], 415),
        ("gateway", b"/nowhere", [JSON], 404),
        ("gateway", b"/api/status", [JSON], 405),
        ("inventory", b"/api/movies", [JSON], 413),
        ("inventory", b"/api/movies", [b"Content-Type: text/plain"], 415),
        ("inventory", b"/nowhere", [JSON], 404),
    ],
)
def test_a_large_body_that_is_refused_ends_in_its_answer(
    services: dict[str, Served],
    service: str,
    path: bytes,
    headers: list[bytes],
    status: int,
    chunked: bool,
    through_relay: bool,
) -> None:
    with way_to(services[service], through_relay) as port:
        for _ in range(3):
            reply = sent(port, request(path, *headers, chunked=chunked))
            assert reply.statuses == [status]
            assert b"application/problem+json" in reply.head


@pytest.mark.parametrize("through_relay", [False, True], ids=["direct", "relayed"])
def test_one_request_too_many_is_a_429_however_long_its_body_is(
    services: dict[str, Served], through_relay: bool
) -> None:
    parts = request(b"/api/movies", JSON, chunked=False)
    with way_to(services["limited"], through_relay) as port:
        statuses = [sent(port, parts).statuses for _ in range(5)]
    assert statuses[-1] == [429]
    assert all(found in ([413], [429]) for found in statuses)


def test_senders_that_stall_keep_no_one_else_from_an_answer(services: dict[str, Served]) -> None:
    gateway = services["gateway"]
    head = request(b"/api/orders", JSON, chunked=False)[0]
    with ExitStack() as stalled:
        # more than the gateway has threads; those that are not read on are answered
        begun = [stalled.enter_context(gateway.connect()) for _ in range(THREADS + 20)]
        for connection in begun:
            connection.sendall(head + b"x")
        wait_until(lambda: len(answered(begun)) >= 20 + THREADS // 2, SECONDS, "the others")
        for _ in range(20):
            ordinary = request(b"/api/orders", JSON, chunked=False, body=b"{}")
            assert sent(gateway.port, ordinary).statuses == [401]


def answered(connections: list[socket.socket]) -> list[socket.socket]:
    """Those on which something can be read."""
    return select.select(connections, [], [], 0)[0]


def test_a_client_that_waits_for_100_continue_is_refused_without_it(
    services: dict[str, Served],
) -> None:
    head = request(b"/api/orders", JSON, b"Expect: 100-continue", chunked=False)[0]
    with services["gateway"].connect() as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_after_a_refusal_the_connection_can_be_used_again(services: dict[str, Served]) -> None:
    parts = request(b"/api/orders", JSON, chunked=False)
    parts[0] = parts[0].replace(b"Connection: close", b"Connection: keep-alive")
    last = b"GET /live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

    def is_used_again() -> bool:
        # the bodies of senders that have just left may still be read on, and take all places
        with suppress(ConnectionError):
            return sent(services["gateway"].port, [*parts, last]).statuses == [401, 200]
        return False

    wait_until(is_used_again, SECONDS, "a connection to be used again")


@pytest.mark.parametrize("service", ["gateway", "inventory"])
def test_services_limit_how_long_an_answer_may_stay_unread(
    services: dict[str, Served], service: str
) -> None:
    log = services[service].log
    wait_until(lambda: READ_LIMIT_IS_SET in log.read_text(), SECONDS, "the limit to be set")
