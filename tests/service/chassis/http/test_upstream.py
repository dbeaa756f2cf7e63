"""Calls to an upstream: what opens its circuit, who gets no permit, and that none is lost."""

import math
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import REGISTRY

from chassis.errors import UnavailableError, UpstreamError, UpstreamTimeoutError
from chassis.http import upstream as upstreams
from chassis.http.bulkhead import Bulkhead
from chassis.http.call import Call
from chassis.http.circuit_breaker import FAILURES, CircuitBreaker, State
from chassis.http.upstream import UpstreamClient
from chassis.settings import Upstream
from tests.support.raw_upstream import OK, RawUpstream, answering, closing, silent
from tools.stack.ports import free_port
from tools.stack.waiting import wait_until

GET = Call("GET", "/api/movies", {})
PATIENCE = 0.2
GARBAGE = answering(b"garbage\r\n\r\n", close=True)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway waits for no answer for long."""
    monkeypatch.setattr(upstreams, "READ_SECONDS", PATIENCE)


def client_of(port: int, in_flight: int = 4) -> UpstreamClient:
    """A client of what listens at a port; once open, its circuit stays so."""
    client = UpstreamClient(Upstream("raw-api", "127.0.0.1", port), in_flight)
    client.addresses[0].breaker = CircuitBreaker("raw-api", lambda: 0.0)
    return client


def failing(client: UpstreamClient, times: int, seconds: float | None = None) -> list[str]:
    """Call so often, in vain; returns the causes."""
    causes = []
    for _ in range(times):
        with pytest.raises((UnavailableError, UpstreamError)) as caught:
            client.call(GET, seconds)
        assert isinstance(caught.value, UnavailableError | UpstreamError)
        causes.append(caught.value.cause)
    return causes


def test_one_that_refuses_is_not_called_after_five_failures() -> None:
    causes = failing(client_of(free_port()), FAILURES + 2)
    assert causes == ["connection_refused"] * FAILURES + ["circuit_open"] * 2


@pytest.mark.usefixtures("impatient")
def test_one_that_never_answers_is_not_called_after_five_time_outs(upstream: RawUpstream) -> None:
    upstream.acts = [silent]
    causes = failing(client_of(upstream.port), FAILURES + 2)
    assert causes == ["timeout"] * FAILURES + ["circuit_open"] * 2
    # the last may be read only after the client has given up
    wait_until(lambda: len(upstream.requests) >= FAILURES, 20, "all requests to be read")
    assert len(upstream.requests) == FAILURES


def test_one_that_is_back_is_called_again(upstream: RawUpstream) -> None:
    client, seconds = client_of(upstream.port), [0.0]
    client.addresses[0].breaker = CircuitBreaker("raw-api", lambda: seconds[0])
    for _ in range(FAILURES):
        client.addresses[0].breaker.record(client.addresses[0].breaker.admit(), False)
    failing(client, 1)
    seconds[0] += 1
    assert client.call(GET).status == 200
    assert client.addresses[0].breaker.state is State.CLOSED


@pytest.mark.parametrize("status", [400, 404, 500, 502, 503, 504])
def test_an_error_is_an_answer(upstream: RawUpstream, status: int) -> None:
    upstream.acts = [answering(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())]
    client = client_of(upstream.port)
    assert {client.call(GET).status for _ in range(2 * FAILURES)} == {status}


@pytest.mark.parametrize("act", [GARBAGE, closing])
def test_a_broken_answer_does_not_open_the_circuit(
    upstream: RawUpstream, act: Callable[[socket.socket], None]
) -> None:
    upstream.acts = [act]
    client = client_of(upstream.port)
    failing(client, 2 * FAILURES)
    assert client.addresses[0].breaker.state is State.CLOSED


def test_a_caller_without_patience_does_not_open_the_circuit(upstream: RawUpstream) -> None:
    upstream.acts = [silent]
    client = client_of(upstream.port)
    assert failing(client, 2 * FAILURES, 0.05) == ["timeout"] * 2 * FAILURES
    assert failing(client, 1, -1) == ["timeout"]
    assert client.addresses[0].breaker.state is State.CLOSED


class Crowded(Bulkhead):
    """A bulkhead before which each caller has waited for so long."""

    def __init__(self, waited: float) -> None:
        super().__init__("raw-api", 1)
        self._waited = waited

    @contextmanager
    def permit(self, seconds: float = math.inf) -> Iterator[float]:
        """Hold the permit."""
        with super().permit(seconds):
            yield self._waited


@pytest.mark.parametrize(("waited", "state"), [(0.4, State.CLOSED), (0.2, State.OPEN)])
def test_waiting_for_a_permit_does_not_count_as_time_of_the_upstream(
    upstream: RawUpstream, waited: float, state: State
) -> None:
    upstream.acts = [silent]
    # one that hangs makes callers wait for the patience; more waits for one that answers others
    client = UpstreamClient(Upstream("raw-api", "127.0.0.1", upstream.port), 1, 0.5, patience=0.25)
    client._bulkhead = Crowded(waited)
    failing(client, FAILURES)
    assert client.addresses[0].breaker.state is state


@pytest.mark.parametrize(
    "call", [Call("GE\x00T", "/", {}), Call("GET", "/", {"X": "a\nb"})], ids=["method", "header"]
)
def test_a_clients_mistake_says_nothing_about_the_upstream(call: Call) -> None:
    client = client_of(free_port())
    failing(client, FAILURES - 1)
    with pytest.raises(UpstreamError):
        client.call(call)
    assert failing(client, 2) == ["connection_refused", "circuit_open"]


def test_only_calls_beyond_the_permits_are_refused(
    upstream: RawUpstream,
) -> None:
    release = threading.Event()

    def held(connection: socket.socket) -> None:
        release.wait(10)
        connection.sendall(OK)

    upstream.acts = [held]
    client, answers = client_of(upstream.port, in_flight=2), list[int]()
    threads = [
        threading.Thread(target=lambda: answers.append(client.call(GET).status)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(upstream.requests) == 2, 10, "two calls in flight")
    assert failing(client, FAILURES + 1) == ["upstream_busy"] * (FAILURES + 1)
    release.set()
    for thread in threads:
        thread.join(10)
    assert answers == [200, 200]
    assert client.call(GET).status == 200


@pytest.mark.parametrize("act", [silent, closing, GARBAGE])
def test_no_permit_is_lost_however_a_call_ends(
    upstream: RawUpstream,
    act: Callable[[socket.socket], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upstream.acts = [act]
    client = client_of(upstream.port, in_flight=1)
    with monkeypatch.context() as impatient:
        impatient.setattr(upstreams, "READ_SECONDS", PATIENCE)
        assert "upstream_busy" not in failing(client, FAILURES - 1)
    upstream.acts = [answering(OK)]
    assert [client.call(GET).status for _ in range(3)] == [200] * 3


def test_no_permit_is_lost_to_an_open_circuit_or_a_call_that_cannot_be_sent() -> None:
    client = client_of(free_port(), in_flight=1)
    with pytest.raises(UpstreamError):
        client.call(Call("GE\x00T", "/", {}))
    assert "upstream_busy" not in failing(client, FAILURES + 3)


@pytest.mark.usefixtures("impatient")
def test_an_upstream_that_does_not_read_is_a_time_out(upstream: RawUpstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = client_of(deaf.getsockname()[1])
        with pytest.raises(UpstreamTimeoutError):
            client.call(Call("POST", "/api/movies", {}, b"x" * 64 * 1024 * 1024))


def test_the_metrics_count_requests_that_were_not_sent() -> None:
    def count(outcome: str) -> float:
        name = "upstream_request_duration_seconds_count"
        return REGISTRY.get_sample_value(name, {"upstream": "raw-api", "outcome": outcome}) or 0

    refused, unasked = count("connection_refused"), count("circuit_open")
    failing(client_of(free_port()), FAILURES + 2)
    assert count("connection_refused") - refused == FAILURES
    assert count("circuit_open") - unasked == 2


def test_the_metrics_count_no_waiting_for_a_permit() -> None:
    def total(upstream: str) -> float:
        name = "upstream_request_duration_seconds_sum"
        labels = {"upstream": upstream, "outcome": "upstream_busy"}
        return REGISTRY.get_sample_value(name, labels) or 0

    client = UpstreamClient(Upstream("busy-api", "127.0.0.1", 1), 1, patience=0.05)
    with client._bulkhead.permit(), pytest.raises(UnavailableError):
        client.call(GET)
    assert total("busy-api") == 0
