"""Ids that identify a request on all machines: X-Request-ID and W3C Trace Context.

Own code: OpenTelemetry's SDK brings a tracer and exporters, where two headers are read and written.
Source: https://www.w3.org/TR/trace-context/ (version 00).
"""

import re
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from chassis.random_ids import random_bytes

# version 00 ends after the flags; additions of later versions are ignored
_TRACEPARENT = re.compile(
    r"(?!ff|00.{53}.)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


class Headers(Protocol):
    """HTTP headers or AMQP headers."""

    def get(self, key: str, default: str, /) -> Any:
        """Return the value of `key`."""


class Trace(NamedTuple):
    """This process's part of a request.

    Attributes:
        request_id: the id from the client, or one that the gateway created.
        trace_id: 32 hexadecimal digits, the same on all machines.
        span_id: 16 hexadecimal digits, this process's part of it.
        flags: two hexadecimal digits, passed on as they came.
    """

    request_id: str
    trace_id: str
    span_id: str
    flags: str = "01"

    @property
    def headers(self) -> dict[str, str]:
        """The headers for the next process, over HTTP and AMQP alike."""
        traceparent = f"00-{self.trace_id}-{self.span_id}-{self.flags}"
        return {"X-Request-ID": self.request_id, "traceparent": traceparent}


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current() -> Trace | None:
    """Return the current trace, if there is one."""
    return _current.get()


def enter(trace: Trace) -> None:
    """Make `trace` the current one of this thread."""
    _current.set(trace)


class _Within:
    """A block with its own trace; cheaper than a generator, and entered for each message."""

    __slots__ = ("_token", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def __enter__(self) -> None:
        self._token = _current.set(self._trace)

    def __exit__(self, *_error: object) -> None:
        _current.reset(self._token)


def within(trace: Trace) -> AbstractContextManager[None]:
    """Make `trace` the current one for a block."""
    return _Within(trace)


def continued(headers: Headers) -> Trace:
    """Continue the trace of `headers`; absent or malformed ids are replaced by new ones."""
    return of(str(headers.get("traceparent", "")), str(headers.get("X-Request-ID", "")))


def of(traceparent: str, request_id: str) -> Trace:
    """Continue the trace of two header values; absent or malformed ids are replaced by new ones."""
    trace_id, flags = _parent(traceparent)
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = random_bytes().hex()
    return Trace(request_id, trace_id, random_bytes()[:8].hex(), flags)


def _parent(traceparent: str) -> tuple[str, str]:
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or match[1] == _NO_TRACE or match[2] == _NO_SPAN:
        return random_bytes().hex(), "01"
    return match[1], match[3]
