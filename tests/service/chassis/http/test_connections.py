"""Connections to another service: what the peer may do, and when a connection is kept."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from chassis.http.answer import Answer, BrokenAnswerError
from chassis.http.call import Call
from chassis.http.connection import ClosedError, ConnectError, Connection
from chassis.http.keepalive import Pool
from tests.support.raw_upstream import OK, Act, RawUpstream, answering, closing
from tools.stack.ports import free_port
from tools.stack.waiting import wait_until

GET = Call("GET", "/", {})
LARGE = Call("POST", "/", {}, b"x" * 64 * 1024 * 1024)
REFUSAL = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!"


@pytest.fixture
def pool(upstream: RawUpstream) -> Iterator[Pool]:
    """A pool of connections to the upstream."""
    pool = Pool("127.0.0.1", upstream.port)
    yield pool
    pool.close()


def answer_to(pool: Pool, call: Call = GET, seconds: float = 20) -> Answer:
    """Send a request, and return its answer."""
    return pool.call(call, time.monotonic() + seconds, 1)


class Peer:
    """A server that reacts to its only connection before anything is read."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.pool = Pool("127.0.0.1", self._listener.getsockname()[1])
        self._act = act
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Pool:
        self._thread.start()
        return self.pool

    def __exit__(self, *_error: object) -> None:
        self.pool.close()
        self._thread.join(20)
        self._listener.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self._act(connection)


def drained(connection: socket.socket) -> int:
    """Read to the end; returns how many bytes there were."""
    size = 0
    while data := connection.recv(1024 * 1024):
        size += len(data)
    return size


def test_an_answer_before_the_whole_request_is_read_is_delivered() -> None:
    def act(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(REFUSAL)
        assert drained(connection) < len(LARGE.body)  # the client closes it

    with Peer(act) as pool:
        answer = answer_to(pool, LARGE)
    assert (answer.status, answer.data) == (413, b"no!")


def test_an_answer_of_a_peer_that_then_closes_is_delivered() -> None:
    def act(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(REFUSAL)
        connection.shutdown(socket.SHUT_WR)
        drained(connection)

    with Peer(act) as pool:
        assert answer_to(pool, LARGE).status == 413


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_peer_that_reads_slowly_gets_everything(interim: bytes) -> None:
    sizes = []

    def act(connection: socket.socket) -> None:
        size = len(connection.recv(100))
        connection.sendall(interim)
        while size < len(LARGE.body):
            size += len(connection.recv(65536))
        connection.sendall(OK)
        sizes.append(size + drained(connection))

    with Peer(act) as pool:
        assert answer_to(pool, LARGE).status == 200
        host = pool._authority
    assert sizes == [len(LARGE.encoded(host))]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        OK + b"surplus",
        OK + OK,
    ],
)
def test_a_connection_that_ends_or_has_more_to_read_is_not_used_again(
    pool: Pool, upstream: RawUpstream, answer: bytes
) -> None:
    upstream.acts = [answering(answer), answering(OK)]
    assert [answer_to(pool).data for _ in range(2)] == [b"[]", b"[]"]
    assert upstream.connections == 2


def test_bytes_that_come_between_two_requests_are_no_answer(
    pool: Pool, upstream: RawUpstream
) -> None:
    sent = threading.Event()

    def act(connection: socket.socket) -> None:
        connection.sendall(OK)
        answered.wait(10)
        connection.sendall(b"HTTP/1.1 500 Injected\r\nContent-Length: 0\r\n\r\n")
        sent.set()

    answered = threading.Event()
    upstream.acts = [act, answering(OK)]
    assert answer_to(pool).status == 200
    answered.set()
    assert sent.wait(10)
    assert answer_to(pool).status == 200
    assert upstream.connections == 2


def test_calls_at_the_same_time_have_connections_of_their_own(
    pool: Pool, upstream: RawUpstream
) -> None:
    def act(connection: socket.socket) -> None:
        wait_until(lambda: len(upstream.requests) >= 4, 10, "four requests")
        connection.sendall(OK)

    upstream.acts = [act]
    threads = [threading.Thread(target=answer_to, args=(pool,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert upstream.connections == 4
    answer_to(pool)
    assert upstream.connections == 4


def resetting(connection: socket.socket) -> None:
    """Close the connection so that the peer gets an error."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@pytest.mark.parametrize("act", [closing, resetting])
@pytest.mark.parametrize(("method", "tries"), [("GET", 2), ("HEAD", 2), ("POST", 1), ("PUT", 1)])
def test_only_reading_is_tried_again_on_a_closed_connection(
    pool: Pool, upstream: RawUpstream, act: Act, method: str, tries: int
) -> None:
    upstream.acts = [act]
    with pytest.raises(ClosedError):
        answer_to(pool, Call(method, "/", {}))
    assert len(upstream.requests) == tries


def test_a_connection_lost_amid_an_answer_is_not_tried_again(
    pool: Pool, upstream: RawUpstream
) -> None:
    def act(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
        resetting(connection)

    upstream.acts = [act]
    with pytest.raises(BrokenAnswerError):
        answer_to(pool)
    assert len(upstream.requests) == 1


def test_no_time_is_no_request(pool: Pool, upstream: RawUpstream) -> None:
    with pytest.raises(TimeoutError):
        answer_to(pool, seconds=0)
    assert upstream.connections == 0


@pytest.mark.parametrize("seconds", [0.003, 0.05, 1.2])
def test_a_wait_ends_with_its_time(pool: Pool, upstream: RawUpstream, seconds: float) -> None:
    upstream.acts = [answering(OK), lambda _connection: None]
    answer_to(pool)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        answer_to(pool, seconds=seconds)
    assert time.monotonic() - began > seconds - 0.01


def test_a_first_wait_of_a_few_milliseconds_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = Connection("127.0.0.1", silent.getsockname()[1], 20)

        def exchange() -> None:
            with suppress(TimeoutError):
                connection.exchange("GET", b"GET / HTTP/1.1\r\n\r\n", time.monotonic() + 0.004)

        thread = threading.Thread(target=exchange, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        connection.close()


def test_a_long_wait_after_a_short_one_has_its_own_time(pool: Pool, upstream: RawUpstream) -> None:
    def late(connection: socket.socket) -> None:
        time.sleep(0.3)
        connection.sendall(OK)

    upstream.acts = [answering(OK), late]
    answer_to(pool, seconds=0.2)
    assert answer_to(pool, seconds=20).status == 200


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_the_host_may_be_an_ipv6_address(host: str) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        pool, port = Pool(host, listener.getsockname()[1]), listener.getsockname()[1]
        heads = []

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                heads.append(connection.recv(1000))
                connection.sendall(OK)

        thread = threading.Thread(target=serve)
        thread.start()
        assert answer_to(pool).status == 200
        thread.join(10)
        pool.close()
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in heads[0]


def test_a_name_is_resolved_and_each_of_its_addresses_tried(upstream: RawUpstream) -> None:
    pool = Pool("localhost", upstream.port)  # on many machines ::1 first, where nobody listens
    assert answer_to(pool).status == 200
    pool.close()


def test_a_name_without_an_address_is_unreachable() -> None:
    with pytest.raises(ConnectError) as caught:
        answer_to(Pool("nowhere.invalid", 80))
    assert (caught.value.cause, caught.value.is_timeout) == ("unreachable", False)


def test_a_port_on_which_nobody_listens_refuses() -> None:
    with pytest.raises(ConnectError, match="connection refused") as caught:
        answer_to(Pool("127.0.0.1", free_port()))
    assert caught.value.cause == "connection_refused"


def test_a_closed_pool_keeps_no_connection(pool: Pool, upstream: RawUpstream) -> None:
    pool.close()
    assert [answer_to(pool).status for _ in range(2)] == [200, 200]
    assert upstream.connections == 2
