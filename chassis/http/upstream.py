"""Calls to an upstream: over keep-alive connections, with deadlines and a limit of calls in flight.

A bulkhead and a circuit breaker precede each call. For the breaker, an answer with any status shows
that the upstream is available. A failed connection, or no answer within the client's time, shows
that it is unavailable. A broken answer shows neither, nor does a time-out of a caller with less
time, nor anything that a client may have caused.
"""

import time

from prometheus_client import Histogram

from chassis import metrics
from chassis.errors import UnavailableError, UpstreamError, UpstreamTimeoutError
from chassis.http.answer import Answer, BrokenAnswerError
from chassis.http.bulkhead import Bulkhead
from chassis.http.call import Call
from chassis.http.circuit_breaker import CircuitBreaker
from chassis.http.connection import ClosedError, ConnectError
from chassis.http.keepalive import Pool
from chassis.settings import Upstream

UPSTREAM = Histogram(
    "upstream_request_duration_seconds",
    "Time that an upstream took to answer, by upstream and outcome; 0 if it was not called",
    ["upstream", "outcome"],
    buckets=metrics.SECONDS,
)
CONNECT_SECONDS, READ_SECONDS = 1.0, 10.0
IN_FLIGHT = 32


class UpstreamClient:
    """Calls one upstream, `in_flight` times at once at most; all threads of a process share it."""

    def __init__(
        self,
        upstream: Upstream,
        in_flight: int = IN_FLIGHT,
        seconds: float | None = None,
        patience: float = 0.0,
    ) -> None:
        """Prepare a client; it connects with the first call.

        Args:
            upstream: where it is.
            in_flight: how many calls may be in flight at once.
            seconds: the total time of a call, `READ_SECONDS` unless given.
            patience: how long a further call waits while none is answered, in seconds.
        """
        self.name = upstream.name
        self._seconds = seconds
        self._patience = patience
        self.breaker = CircuitBreaker(upstream.name)
        self._bulkhead = Bulkhead(upstream.name, in_flight, patience)
        self._pool = Pool(upstream.host, upstream.port)
        self._durations: dict[str, Histogram] = {}

    @property
    def seconds(self) -> float:
        """The total time of a call, unless its caller gives it less."""
        return READ_SECONDS if self._seconds is None else self._seconds

    def call(self, call: Call, seconds: float | None = None) -> Answer:
        """Call the upstream; GET and HEAD once more if the connection is closed without an answer.

        Args:
            call: the request.
            seconds: its total time, the client's `seconds` unless given.

        Raises:
            UnavailableError: it can't be reached, or is not called (503).
            UpstreamTimeoutError: it takes too long (504).
            UpstreamError: its answer is broken (502).
        """
        limit, outcome = self.seconds if seconds is None else seconds, "error"
        until = time.monotonic() + limit
        asked: float | None = None
        try:
            with self._bulkhead.permit(limit) as waited:
                admitted = self.breaker.admit()
                asked = time.perf_counter()
                answer = self._recorded(call, until, limit - waited, admitted)
            outcome = f"{answer.status // 100}xx"
            return answer
        except (UnavailableError, UpstreamError) as error:
            outcome = error.cause
            raise
        finally:
            self._observe(outcome, 0.0 if asked is None else time.perf_counter() - asked)

    def _observe(self, outcome: str, seconds: float) -> None:
        duration = self._durations.get(outcome)
        if duration is None:
            duration = self._durations[outcome] = UPSTREAM.labels(self.name, outcome)
        duration.observe(seconds)

    def _recorded(self, call: Call, until: float, given: float, admitted: int) -> Answer:
        """Return the answer to a call that the breaker has admitted, and record how it ends.

        Args:
            call: the request.
            until: the end of the whole exchange, by `time.monotonic`.
            given: the upstream's time, without the wait for a permit.
            admitted: the breaker's token.
        """
        reached: bool | None = None
        try:
            answer = self._answer(call, until)
            reached = True
            return answer
        except UnavailableError:
            reached = False
            raise
        except UpstreamTimeoutError:
            # with an upstream that answers nobody, callers wait for the patience and no longer
            reached = False if given >= self.seconds - self._patience else None
            raise
        finally:
            self.breaker.record(admitted, reached)

    def _answer(self, call: Call, until: float) -> Answer:
        try:
            return self._pool.call(call, until, CONNECT_SECONDS)
        except ConnectError as error:
            raise UnavailableError(f"{self.name} can't be reached.", cause=error.cause) from error
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"{self.name} has not answered in time.") from error
        except ClosedError as error:
            detail = f"{self.name} closed the connection before it answered."
            raise ConnectionClosedError(detail) from error
        except (BrokenAnswerError, OSError) as error:
            raise UpstreamError(f"{self.name} has not given a whole answer.") from error
        except ValueError as error:
            raise UpstreamError(f"The request can't be sent to {self.name}: {error}.") from error


class ConnectionClosedError(UpstreamError):
    """The connection, perhaps one from an earlier request, was closed before any answer."""

    cause = "connection_closed"
