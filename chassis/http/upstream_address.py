"""One address of an upstream: its kept connections, its circuit, and the calls in flight to it.

For the circuit breaker, an answer with any status shows that the address is available. A failed
connection, or no answer within the usual time, shows that it is unavailable. A broken answer shows
neither, nor does a time-out of a caller with less time, nor anything that a client may have caused.
"""

import random
import time
from collections.abc import Callable

from chassis.errors import UnavailableError, UpstreamError, UpstreamTimeoutError
from chassis.http.answer import Answer, BrokenAnswerError
from chassis.http.call import Call
from chassis.http.circuit_breaker import CircuitBreaker, State
from chassis.http.connection import ClosedError, ConnectError
from chassis.http.keepalive import Pool

CONNECT_SECONDS = 1.0
AVOIDED_SECONDS = 1.0


class Address:
    """One address of an upstream; all threads of a process share it."""

    def __init__(self, upstream: str, host: str, port: int, is_only: bool = True) -> None:
        """Prepare the address; the first call connects.

        Args:
            upstream: the name of the upstream.
            host: a name, or an IPv4 or IPv6 address.
            port: where the server listens.
            is_only: whether the upstream has no other; if not, the circuit's name tells them apart.
        """
        self.upstream = upstream
        self.breaker = CircuitBreaker(upstream if is_only else f"{upstream} at {host}")
        self.in_flight = 0
        self._pool = Pool(host, port)
        self._avoided_until = 0.0

    @property
    def rank(self) -> tuple[bool, bool, int, float]:
        """What it is chosen by, the lowest first: refusal, failures, calls in flight, chance."""
        return self.breaker.is_refusing, self._is_avoided, self.in_flight, random.random()

    @property
    def is_promising(self) -> bool:
        """Whether it is expected to answer: it is called, and has not failed just now."""
        return self.breaker.state is State.CLOSED and not self._is_avoided

    def call(self, call: Call, until: float, shows_failure: Callable[[], bool]) -> Answer:
        """Call this address.

        Args:
            call: the request.
            until: the end of the whole exchange, by `time.monotonic`.
            shows_failure: says after a time-out whether that shows that the address is unavailable.

        Raises:
            UnavailableError: it can't be reached, or is not called (503).
            UpstreamTimeoutError: it takes too long (504).
            UpstreamError: its answer is broken (502).
        """
        admitted, reached = self.breaker.admit(), None
        # an approximate count is enough: it only chooses
        self.in_flight += 1
        try:
            answer = self._answer(call, until)
            reached = True
            return answer
        except UnavailableError:
            reached = False
            raise
        except UpstreamTimeoutError:
            reached = False if shows_failure() else None
            raise
        finally:
            self.in_flight -= 1
            if reached is False:
                self.avoid()
            self.breaker.record(admitted, reached)

    def avoid(self) -> None:
        """Prefer other addresses for a short time."""
        self._avoided_until = time.monotonic() + AVOIDED_SECONDS

    @property
    def _is_avoided(self) -> bool:
        return time.monotonic() < self._avoided_until

    def _answer(self, call: Call, until: float) -> Answer:
        name = self.upstream
        try:
            return self._pool.call(call, until, CONNECT_SECONDS)
        except ConnectError as error:
            raise NotSentError(f"{name} can't be reached.", cause=error.cause) from error
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"{name} has not answered in time.") from error
        except ClosedError as error:
            detail = f"{name} closed the connection before it answered."
            raise ConnectionClosedError(detail) from error
        except (BrokenAnswerError, OSError) as error:
            raise UpstreamError(f"{name} has not given a whole answer.") from error
        except ValueError as error:
            raise InvalidCallError(f"The request can't be sent to {name}: {error}.") from error


class NotSentError(UnavailableError):
    """There is no connection: the request has surely not been sent."""


class InvalidCallError(UpstreamError):
    """The request can't be sent as it is, to any address."""


class ConnectionClosedError(UpstreamError):
    """The connection, perhaps one from an earlier request, was closed before any answer."""

    cause = "connection_closed"
