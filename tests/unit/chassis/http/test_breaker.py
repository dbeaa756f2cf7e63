"""The circuit breaker, by a clock that the tests set."""

import logging
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import REGISTRY

from chassis.errors import UnavailableError
from chassis.http.circuit_breaker import (
    FAILURES,
    LONGEST_OPEN_SECONDS,
    OPEN_SECONDS,
    CircuitBreaker,
    State,
)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """What it shows."""
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """The breaker's clock."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    """A closed circuit."""
    return CircuitBreaker("test-api", clock)


def state_of(breaker: CircuitBreaker) -> State:
    """Its state, which mypy takes for constant."""
    return breaker.state


def call(breaker: CircuitBreaker, reached: bool | None) -> None:
    """Make a call that is let through and ends so."""
    breaker.record(breaker.admit(), reached)


def fail(breaker: CircuitBreaker, times: int = FAILURES) -> None:
    """Make calls that do not reach the upstream."""
    for _ in range(times):
        call(breaker, False)


def refused(breaker: CircuitBreaker) -> UnavailableError:
    """The error with which a call is refused."""
    with pytest.raises(UnavailableError) as caught:
        breaker.admit()
    return caught.value


def gauge() -> float | None:
    """The state in the metrics."""
    return REGISTRY.get_sample_value("upstream_circuit_state", {"upstream": "test-api"})


def test_it_opens_after_five_failures_in_a_row_and_says_when_to_try_again(
    breaker: CircuitBreaker,
) -> None:
    fail(breaker, FAILURES - 1)
    assert state_of(breaker) is State.CLOSED
    fail(breaker, 1)
    error = refused(breaker)
    assert (error.cause, error.retry_after) == ("circuit_open", 1)
    assert "test-api" in str(error)


def test_it_says_beforehand_whether_it_would_refuse(breaker: CircuitBreaker, clock: Clock) -> None:
    assert not breaker.is_refusing
    fail(breaker)
    assert breaker.is_refusing
    clock.seconds += OPEN_SECONDS
    assert not breaker.is_refusing
    probe = breaker.admit()
    assert breaker.is_refusing
    breaker.record(probe, True)
    assert not breaker.is_refusing


def test_a_call_that_reaches_the_upstream_resets_the_failures(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        fail(breaker, FAILURES - 1)
        call(breaker, True)
    assert state_of(breaker) is State.CLOSED


def test_an_inconclusive_call_neither_counts_nor_resets(breaker: CircuitBreaker) -> None:
    for _ in range(2 * FAILURES):
        call(breaker, None)
    fail(breaker, FAILURES - 1)
    call(breaker, None)
    assert state_of(breaker) is State.CLOSED
    fail(breaker, 1)
    assert state_of(breaker) is State.OPEN


def test_when_its_time_is_over_one_call_goes_through_and_the_others_do_not(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker)
    clock.seconds += OPEN_SECONDS - 0.001
    refused(breaker)
    clock.seconds += 0.002
    probe = breaker.admit()
    assert state_of(breaker) is State.HALF_OPEN
    assert refused(breaker).retry_after == 1
    breaker.record(probe, True)
    assert state_of(breaker) is State.CLOSED
    call(breaker, True)


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_four_seconds(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker)
    waits = []
    for _ in range(4):
        waits.append(refused(breaker).retry_after)
        clock.seconds += waits[-1]
        call(breaker, False)
    assert waits == [1, 2, 4, 4]


def test_after_it_has_closed_the_pause_is_one_second_again(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker)
    for reached in (False, False, True):
        clock.seconds += LONGEST_OPEN_SECONDS
        call(breaker, reached)
    fail(breaker)
    assert refused(breaker).retry_after == 1


def test_an_inconclusive_probe_makes_room_for_another(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker)
    clock.seconds += OPEN_SECONDS
    call(breaker, None)
    assert state_of(breaker) is State.HALF_OPEN
    call(breaker, True)
    assert state_of(breaker) is State.CLOSED


@pytest.mark.parametrize("reached", [True, False, None])
def test_the_outcome_of_a_call_from_before_a_change_does_not_count(
    breaker: CircuitBreaker, clock: Clock, reached: bool | None
) -> None:
    early = breaker.admit()
    fail(breaker)
    breaker.record(early, reached)
    assert state_of(breaker) is State.OPEN
    clock.seconds += OPEN_SECONDS
    breaker.admit()
    breaker.record(early, reached)
    refused(breaker)


def test_each_change_is_logged_once_and_shown_in_the_metrics(
    breaker: CircuitBreaker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    states = [gauge()]
    fail(breaker)
    refused(breaker)
    states.append(gauge())
    clock.seconds += OPEN_SECONDS
    probe = breaker.admit()
    refused(breaker)
    states.append(gauge())
    breaker.record(probe, True)
    states.append(gauge())
    assert states == [0, 2, 1, 0]
    assert caplog.messages == ["circuit open", "circuit half-open", "circuit closed"]
    assert {vars(record)["upstream"] for record in caplog.records} == {"test-api"}


def test_one_of_many_concurrent_threads_is_the_probe(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker)
    clock.seconds += OPEN_SECONDS
    admitted: list[int] = []
    gate = threading.Barrier(16)

    def come() -> None:
        gate.wait(10)
        with suppress(UnavailableError):
            admitted.append(breaker.admit())

    threads = [threading.Thread(target=come) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(admitted) == 1


def test_a_thousand_refusals_cost_less_than_one_time_out(breaker: CircuitBreaker) -> None:
    fail(breaker)
    started = time.perf_counter()
    for _ in range(1000):
        refused(breaker)
    assert time.perf_counter() - started < 1


class Circuit(RuleBasedStateMachine):
    """Any calls at any time, ending in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = CircuitBreaker("test-api", self.clock)
        self.in_flight: list[tuple[int, State]] = []
        self.failures = 0  # in a row, since it was closed

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.clock.seconds += seconds

    @rule()
    def begin(self) -> None:
        """A call comes."""
        try:
            admitted = self.breaker.admit()
        except UnavailableError as error:
            assert self.breaker.state is not State.CLOSED
            assert 1 <= error.retry_after <= LONGEST_OPEN_SECONDS
        else:
            assert self.breaker.state is not State.OPEN
            self.in_flight.append((admitted, self.breaker.state))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), reached=st.sampled_from([True, False, None]))
    def end(self, data: st.DataObject, reached: bool | None) -> None:
        """A call ends."""
        position = data.draw(st.integers(0, len(self.in_flight) - 1))
        admitted, _ = self.in_flight.pop(position)
        before = self.breaker.state
        self.breaker.record(admitted, reached)
        self.failures = 0 if reached else self.failures + (reached is False)
        if before is State.CLOSED and self.breaker.state is State.OPEN:
            assert self.failures >= FAILURES
        if before is not State.CLOSED:
            self.failures = 0

    @precondition(lambda self: not self.in_flight)
    @rule()
    def recover(self) -> None:
        """Whatever has been, when nothing is in flight, a call goes through after its longest."""
        self.clock.seconds += LONGEST_OPEN_SECONDS
        call(self.breaker, True)
        assert self.breaker.state is State.CLOSED
        self.failures = 0

    @invariant()
    def one_probe_at_most(self) -> None:
        """Half-open, one call at most is in flight that was let through as a probe."""
        if self.breaker.state is State.HALF_OPEN:
            probes = [t for t, s in self.in_flight if s is State.HALF_OPEN and t == self._turn()]
            assert len(probes) <= 1

    def _turn(self) -> int:
        return self.breaker._turn


TestCircuit = Circuit.TestCase
TestCircuit.settings = settings(max_examples=50, deadline=None)
