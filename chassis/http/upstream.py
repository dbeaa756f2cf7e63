"""Calls to an upstream: over keep-alive connections, with deadlines and a limit of calls in flight.

A bulkhead and a circuit breaker precede each call. For the breaker, an answer with any status shows
that the upstream is available. A failed connection, or no answer within the client's time, shows
that it is unavailable. A broken answer shows neither, nor does a time-out of a caller with less
time, nor anything that a client may have caused.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import urllib3
from prometheus_client import Histogram
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from chassis import metrics
from chassis.errors import UnavailableError, UpstreamError, UpstreamTimeoutError
from chassis.http import deadline
from chassis.http.bulkhead import Bulkhead
from chassis.http.circuit_breaker import CircuitBreaker
from chassis.http.keepalive import Pool, cause, was_closed
from chassis.settings import Upstream

UPSTREAM = Histogram(
    "upstream_request_duration_seconds",
    "Time that an upstream took to answer, by upstream and outcome; 0 if it was not called",
    ["upstream", "outcome"],
    buckets=metrics.SECONDS,
)
CONNECT_SECONDS, READ_SECONDS = 1.0, 10.0
IN_FLIGHT = 32


@dataclass(frozen=True)
class Call:
    """A request to an upstream; `target` is a path with its query, both encoded."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


class Answer(NamedTuple):
    """The answer of an upstream."""

    status: int
    headers: urllib3.HTTPHeaderDict
    data: bytes


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
        self._pool = Pool(upstream.host, upstream.port, maxsize=in_flight, retries=False)
        self._pool.ConnectionCls = deadline.Connection

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
        asked: float | None = None
        try:
            with (
                deadline.within(call.target, limit),
                self._bulkhead.permit(limit) as waited,
                self._recorded(limit - waited),
            ):
                asked = time.perf_counter()
                answer = self._answer(call)
            outcome = f"{answer.status // 100}xx"
            return answer
        except (UnavailableError, UpstreamError) as error:
            outcome = error.cause
            raise
        finally:
            took = 0.0 if asked is None else time.perf_counter() - asked
            UPSTREAM.labels(self.name, outcome).observe(took)

    @contextmanager
    def _recorded(self, given: float) -> Iterator[None]:
        """Ask the breaker to admit a call, and record how it ends.

        Args:
            given: the upstream's time, without the wait for a permit.
        """
        admitted, reached = self.breaker.admit(), None
        try:
            yield
            reached = True
        except UnavailableError:
            reached = False
            raise
        except UpstreamTimeoutError:
            # with an upstream that answers nobody, callers wait for the patience and no longer
            reached = False if given >= self.seconds - self._patience else None
            raise
        finally:
            self.breaker.record(admitted, reached)

    def _answer(self, call: Call) -> Answer:
        try:
            return self._attempt(call)
        except ConnectionClosedError:
            if call.method not in ("GET", "HEAD"):
                raise
            return self._attempt(call)

    def _attempt(self, call: Call) -> Answer:
        try:
            return _whole(self._send(call))
        except (NewConnectionError, ConnectTimeoutError) as error:
            raise UnavailableError(f"{self.name} can't be reached.", cause=cause(error)) from error
        except (ReadTimeoutError, TimeoutError) as error:
            raise UpstreamTimeoutError(f"{self.name} has not answered in time.") from error
        except (HTTPError, OSError, ValueError) as error:
            raise UpstreamError(f"{self.name} has not given a whole answer.") from error

    def _send(self, call: Call) -> urllib3.BaseHTTPResponse:
        left = deadline.seconds_left()
        try:
            return self._pool.urlopen(
                call.method,
                "/",  # the connection sends the call's own target
                body=call.body or None,
                headers=call.headers,
                timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=left),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except ProtocolError as error:
            raise self._translated(error) from error

    def _translated(self, error: ProtocolError) -> Exception:
        """Return the real cause of an aborted connection."""
        reason = error.args[-1]
        if isinstance(reason, TimeoutError):
            return reason
        if was_closed(error):
            detail = f"{self.name} closed the connection before it answered."
            return ConnectionClosedError(detail)
        return error


class ConnectionClosedError(UpstreamError):
    """The connection, perhaps one from an earlier request, was closed before any answer."""

    cause = "connection_closed"


def _whole(response: urllib3.BaseHTTPResponse) -> Answer:
    """Read the body; return the connection to the pool, or close it if the body is incomplete."""
    try:
        if not _says_its_length(response):
            raise ProtocolError("the answer has neither a length nor chunks")
        data = response.read(decode_content=False)
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return Answer(response.status, response.headers, data)


def _says_its_length(response: urllib3.BaseHTTPResponse) -> bool:
    """Return whether a truncated body would be noticed (RFC 9112, section 6.3)."""
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    return chunked or response.length_remaining is not None
