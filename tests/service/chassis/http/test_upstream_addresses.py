"""An upstream on several machines: which is called, and what happens when one of them vanishes."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing as closed

import pytest

from chassis.errors import UnavailableError, UpstreamError, UpstreamTimeoutError
from chassis.http import upstream as upstreams
from chassis.http import upstream_address
from chassis.http.call import Call
from chassis.http.circuit_breaker import FAILURES, State
from chassis.http.upstream import UpstreamClient
from chassis.settings import Upstream
from tests.support.raw_upstream import OK, Act, RawUpstream, answering, closing, silent
from tools.stack.ports import free_port
from tools.stack.waiting import wait_until

FIRST_SECONDS = 0.3
HOSTS = ("127.0.0.1", "127.0.0.2")
GET, POST = Call("GET", "/api/movies", {}), Call("POST", "/api/movies", {}, b"{}")
KEYED = Call("POST", "/api/movies", {"Idempotency-Key": "k"}, b"{}")
UNAVAILABLE = answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
CONFLICT = answering(b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")
HALF = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]", close=True)


def slow(connection: socket.socket) -> None:
    """Answer later than a first address may."""
    time.sleep(2 * FIRST_SECONDS)
    connection.sendall(OK)


@pytest.fixture
def pair() -> Iterator[tuple[RawUpstream, RawUpstream]]:
    """Two machines that serve one upstream."""
    port = free_port()
    with (
        closed(RawUpstream(host=HOSTS[0], port=port)) as first,
        closed(RawUpstream(host=HOSTS[1], port=port)) as second,
    ):
        yield first, second


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address has little time."""
    monkeypatch.setattr(upstreams, "FIRST_SECONDS", FIRST_SECONDS)


def client_of(port: int) -> UpstreamClient:
    """A client of both machines."""
    return UpstreamClient(Upstream("raw-api", HOSTS[0], port, HOSTS[1:]))


def asked_first(client: UpstreamClient, number: int) -> UpstreamClient:
    """The client, which prefers one of the machines for the next call."""
    client.addresses[number].in_flight = -1
    return client


def test_calls_go_to_the_address_with_the_fewest_in_flight(
    pair: tuple[RawUpstream, RawUpstream],
) -> None:
    for machine in pair:
        machine.acts = [silent]
    client = client_of(pair[0].port)
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(client.call, POST, 2) for _ in range(8)]
        wait_until(lambda: sum(len(one.requests) for one in pair) == 8, 20, "all to be asked")
        assert [len(one.requests) for one in pair] == [4, 4]
        errors = [call.exception() for call in calls]
    assert {type(error) for error in errors} == {UpstreamTimeoutError}
    assert [address.in_flight for address in client.addresses] == [0, 0]


def test_both_addresses_are_used_without_load(pair: tuple[RawUpstream, RawUpstream]) -> None:
    client = client_of(pair[0].port)
    for _ in range(60):
        assert client.call(GET).status == 200
    assert all(one.requests for one in pair)


@pytest.mark.parametrize("call", [GET, POST, KEYED])
def test_what_was_surely_not_sent_goes_to_the_other(call: Call) -> None:
    with closed(RawUpstream(host=HOSTS[1])) as second:
        client = client_of(second.port)
        for _ in range(3 * FAILURES):
            client.addresses[0]._avoided_until = 0.0
            assert client.call(call).status == 200
        assert len(second.requests) == 3 * FAILURES
        states = [address.breaker.state for address in client.addresses]
        assert states == [State.OPEN, State.CLOSED]


@pytest.mark.parametrize("act", [silent, closing, HALF, UNAVAILABLE])
@pytest.mark.parametrize("call", [GET, KEYED])
def test_what_may_be_repeated_goes_to_the_other(
    pair: tuple[RawUpstream, RawUpstream], call: Call, act: Act
) -> None:
    pair[0].acts = [act]
    client = asked_first(client_of(pair[0].port), 0)
    assert client.call(call).status == 200
    assert pair[0].requests
    assert len(pair[1].requests) == 1


def test_machines_that_are_slow_together_do_not_count_as_gone_together(
    pair: tuple[RawUpstream, RawUpstream],
) -> None:
    for machine in pair:
        machine.acts = [slow]
    client = client_of(pair[0].port)
    with ThreadPoolExecutor(4 * FAILURES) as threads:
        for call in [threads.submit(client.call, GET) for _ in range(4 * FAILURES)]:
            call.exception()
    assert State.CLOSED in [address.breaker.state for address in client.addresses]
    assert client.call(GET).status == 200


@pytest.mark.parametrize("call", [GET, KEYED])
@pytest.mark.parametrize("is_open", [True, False], ids=["open circuit", "just failed"])
def test_a_slow_machine_has_all_the_time_if_the_other_has_failed(call: Call, is_open: bool) -> None:
    with closed(RawUpstream(host=HOSTS[0], acts=[slow])) as first:
        client = client_of(first.port)
        gone = client.addresses[1]
        if is_open:
            for _ in range(FAILURES):
                gone.breaker.record(gone.breaker.admit(), False)
        else:
            gone.avoid()
        assert asked_first(client, 0).call(call).status == 200
        assert len(first.requests) == 1


@pytest.mark.parametrize(
    ("act", "cause"), [(silent, "timeout"), (closing, "connection_closed"), (HALF, "broken_answer")]
)
def test_what_may_have_had_an_effect_is_sent_once(
    pair: tuple[RawUpstream, RawUpstream], act: Act, cause: str
) -> None:
    pair[0].acts = [act]
    client = asked_first(client_of(pair[0].port), 0)
    with pytest.raises(UpstreamError) as caught:
        client.call(POST, 0.5)
    assert (caught.value.cause, len(pair[0].requests), pair[1].requests) == (cause, 1, [])


@pytest.mark.parametrize(
    ("act", "cause"), [(silent, "timeout"), (closing, "connection_closed"), (HALF, "broken_answer")]
)
def test_that_a_key_is_in_use_does_not_hide_that_an_outcome_is_unknown(
    pair: tuple[RawUpstream, RawUpstream], act: Act, cause: str
) -> None:
    pair[0].acts, pair[1].acts = [act], [CONFLICT]
    client = asked_first(client_of(pair[0].port), 0)
    with pytest.raises(UpstreamError) as caught:
        client.call(KEYED)
    assert caught.value.cause == cause
    assert asked_first(client_of(pair[0].port), 1).call(KEYED).status == 409


def test_a_503_is_the_answer_if_the_other_has_none_either(
    pair: tuple[RawUpstream, RawUpstream],
) -> None:
    pair[0].acts, pair[1].acts = [UNAVAILABLE], [UNAVAILABLE]
    assert client_of(pair[0].port).call(GET).status == 503
    assert [len(one.requests) for one in pair] == [1, 1]
    with closed(RawUpstream(acts=[UNAVAILABLE])) as alone:
        assert asked_first(client_of(alone.port), 0).call(GET).status == 503


def test_a_time_out_is_not_hidden_by_an_address_that_refuses() -> None:
    with closed(RawUpstream(host=HOSTS[0])) as first:
        first.acts = [silent]
        client = asked_first(client_of(first.port), 0)
        with pytest.raises(UpstreamTimeoutError):
            client.call(KEYED, 1)


@pytest.mark.parametrize("call", [GET, KEYED])
def test_while_the_other_is_not_asked_an_address_has_the_whole_time(call: Call) -> None:
    def slow(connection: socket.socket) -> None:
        time.sleep(2 * upstreams.FIRST_SECONDS)
        answering(OK)(connection)

    with closed(RawUpstream(host=HOSTS[0])) as first:
        client = client_of(first.port)
        for _ in range(FAILURES):
            client.addresses[1]._avoided_until = 0.0
            asked_first(client, 1)
            assert client.call(call).status == 200
        breaker = client.addresses[1].breaker
        assert breaker.state is State.OPEN
        breaker._opened_until += 60
        first.acts = [slow]
        assert asked_first(client, 0).call(call, 5).status == 200


def test_with_no_address_left_the_refusal_says_so() -> None:
    client = client_of(free_port())
    causes = []
    for _ in range(FAILURES + 2):
        with pytest.raises(UnavailableError) as caught:
            client.call(POST)
        causes.append(caught.value.cause)
    assert causes == ["connection_refused"] * FAILURES + ["circuit_open"] * 2


def test_an_address_that_does_not_answer_a_connection_costs_its_time_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream_address, "CONNECT_SECONDS", 0.2)
    port = free_port()
    with socket.socket() as full, closed(RawUpstream(host=HOSTS[1], port=port)) as second:
        full.bind((HOSTS[0], port))
        full.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex((HOSTS[0], port))
        client = asked_first(client_of(port), 0)
        for _ in range(5):
            assert client.call(POST).status == 200
        assert len(second.requests) == 5
        for one in waiting:
            one.close()


def test_one_address_is_called_as_before(pair: tuple[RawUpstream, RawUpstream]) -> None:
    pair[0].acts = [UNAVAILABLE, answering(OK)]
    client = UpstreamClient(Upstream("raw-api", HOSTS[0], pair[0].port))
    assert [client.call(GET).status for _ in range(2)] == [503, 200]
    assert pair[1].requests == []
