"""A circuit breaker: an upstream that failed several times in a row is not called for a while.

A closed circuit lets all calls through. After `FAILURES` failures in a row it opens and refuses
each call at once. When its time is over it is half-open: one call goes through as a probe, the
others are still refused. The probe closes it, or opens it for twice as long.

Own code: pybreaker holds a lock during the call, so one thread at a time would use an upstream.

Source: M. Nygard, Release It!, "Circuit Breaker".
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from enum import IntEnum

from prometheus_client import Gauge

from chassis.errors import UnavailableError

FAILURES = 5
OPEN_SECONDS, LONGEST_OPEN_SECONDS = 1.0, 4.0
METRIC, UNTIL_METRIC = "upstream_circuit_state", "upstream_circuit_open_until_seconds"
# the worst of all living workers
STATE = Gauge(
    METRIC,
    "Circuit to an upstream at the last request for it: 0 closed, 1 half-open, 2 open",
    ["upstream"],
    multiprocess_mode="livemax",
)
OPEN_UNTIL = Gauge(
    UNTIL_METRIC,
    "Until when an open circuit refuses calls, in seconds since 1970",
    ["upstream"],
    multiprocess_mode="livemax",
)
logger = logging.getLogger(__name__)


class State(IntEnum):
    """What a circuit does with calls."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2

    @property
    def label(self) -> str:
        """Return its name in logs and in `/api/status`."""
        return self.name.lower().replace("_", "-")


class CircuitBreaker:
    """The circuit to one upstream; all threads of a process share it."""

    def __init__(self, upstream: str, now: Callable[[], float] = time.monotonic) -> None:
        """Begin closed.

        Args:
            upstream: its name, for errors, logs and metrics.
            now: a clock that never goes back, in seconds.
        """
        self.upstream = upstream
        self.state = State.CLOSED
        self._now = now
        self._lock = threading.Lock()
        self._turn = 0  # grows with each change; calls of earlier turns are ignored
        self._failures = 0
        self._seconds = OPEN_SECONDS
        self._opened_until = 0.0
        self._probing = False
        STATE.labels(upstream).set(self.state)

    @property
    def is_refusing(self) -> bool:
        """Whether a call would be refused now."""
        return self._probing or (self.state is State.OPEN and self._now() < self._opened_until)

    def admit(self) -> int:
        """Let a call through; return the token for `record` when the call has ended.

        Raises:
            UnavailableError: the circuit is open, or its probe has not ended yet.
        """
        with self._lock:
            if self.state is State.OPEN and self._now() >= self._opened_until:
                self._change(State.HALF_OPEN)
            if self.state is State.OPEN or self._probing:
                raise self._refusal()
            self._probing = self.state is State.HALF_OPEN
            return self._turn

    def record(self, admitted: int, reached: bool | None) -> None:
        """Record how a call has ended.

        Args:
            admitted: the token from `admit`.
            reached: whether the upstream was reached; None if the call does not show that.
        """
        with self._lock:
            if admitted != self._turn:
                return
            self._probing = False
            if reached:
                self._succeed()
            elif reached is not None:
                self._fail()

    def _succeed(self) -> None:
        self._failures = 0
        if self.state is not State.CLOSED:
            self._seconds = OPEN_SECONDS
            self._change(State.CLOSED)

    def _fail(self) -> None:
        self._failures += 1
        if self.state is State.HALF_OPEN:
            self._seconds = min(2 * self._seconds, LONGEST_OPEN_SECONDS)
        elif self._failures < FAILURES:
            return
        self._opened_until = self._now() + self._seconds
        OPEN_UNTIL.labels(self.upstream).set(time.time() + self._seconds)
        self._change(State.OPEN)

    def _change(self, state: State) -> None:
        self.state = state
        self._turn += 1
        STATE.labels(self.upstream).set(state)
        level = logging.WARNING if state is State.OPEN else logging.INFO
        logger.log(level, f"circuit {state.label}", extra={"upstream": self.upstream})

    def _refusal(self) -> UnavailableError:
        left = math.ceil(self._opened_until - self._now())
        detail = f"{self.upstream} could not be reached several times in a row, and is not asked."
        return UnavailableError(detail, cause="circuit_open", retry_after=max(1, left))
