"""Calls to several upstreams at the same time, for one answer with a time limit."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, wait
from contextvars import copy_context
from typing import Any

from chassis import trace
from chassis.errors import (
    InvalidError,
    MalformedJsonError,
    UnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
)
from chassis.http import caller as identity
from chassis.http import links
from chassis.http.answer import Answer
from chassis.http.call import Call
from chassis.http.upstream import UpstreamClient
from chassis.schema.decoding import decode

PART_SECONDS, WHOLE_SECONDS = 1.0, 1.4
Read = Callable[[Any], Any]


class FanOut:
    """The calls for one request: each part has `PART_SECONDS`, all together `WHOLE_SECONDS`."""

    def __init__(self, threads: Executor, caller: str) -> None:
        """Start the clock.

        Args:
            threads: run the calls.
            caller: the name of the caller, for the upstreams.
        """
        self._threads = threads
        self._deadline = time.monotonic() + WHOLE_SECONDS
        current = trace.current()
        traced = current.headers if current else {}
        self._headers = {"Accept": "application/json", identity.HEADER: caller, **traced}

    def call(self, upstream: UpstreamClient, target: str) -> Answer:
        """Call an upstream in this thread.

        Raises:
            UnavailableError: the upstream can't be reached, or is not called.
            UpstreamTimeoutError: it takes too long.
            UpstreamError: its answer is broken.
        """
        return self._call(upstream, target, self._until())

    def fetch(self, upstream: UpstreamClient, target: str, read: Read) -> "Future[Any]":
        """Get JSON in another thread; the result is what `read` returns for it, None for a 404."""
        context, until = copy_context(), self._until()
        return self._threads.submit(context.run, self._fetch, upstream, target, read, until)

    def fetch_pages(self, upstream: UpstreamClient, target: str, read: Read) -> "Future[Any]":
        """Get all pages of a list in another thread; the result is what `read` returns for it."""
        context, until = copy_context(), self._until()
        return self._threads.submit(context.run, self._fetch_pages, upstream, target, read, until)

    def results(self, parts: Mapping[str, "Future[Any]"]) -> dict[str, Any]:
        """Wait for parts until the deadline; return for each its result, or its error."""
        wait(parts.values(), max(0, self._deadline - time.monotonic()))
        return {name: _outcome(part) for name, part in parts.items()}

    def _until(self) -> float:
        return min(time.monotonic() + PART_SECONDS, self._deadline)

    def _call(self, upstream: UpstreamClient, target: str, until: float) -> Answer:
        call = Call("GET", target, self._headers)
        return upstream.call(call, until - time.monotonic())

    def _fetch(self, upstream: UpstreamClient, target: str, read: Read, until: float) -> Any:
        answer = self._call(upstream, target, until)
        if answer.status == 404:
            return None
        return read(_found(upstream, answer))

    def _fetch_pages(self, upstream: UpstreamClient, target: str, read: Read, until: float) -> Any:
        rows: list[Any] = []
        page: str | None = target
        while page is not None:
            answer = self._call(upstream, page, until)
            rows += as_list(_found(upstream, answer))
            page = links.next_target(answer.headers.get("Link"))
        return read(rows)


def _found(upstream: UpstreamClient, answer: Answer) -> Any:
    if answer.status != 200:
        raise UpstreamError(f"{upstream.name} has answered {answer.status}.")
    return decoded(answer)


def as_list(data: Any) -> list[Any]:
    """Return an upstream's JSON if it is a list.

    Raises:
        UpstreamError: it is not.
    """
    if not isinstance(data, list):
        raise UpstreamError("An upstream has answered with something else than a list.")
    return data


def decoded(answer: Answer) -> Any:
    """Return the JSON of an upstream's answer, with decimals as `Decimal`.

    Raises:
        UpstreamError: it is not JSON.
    """
    try:
        return decode(answer.data)
    except (MalformedJsonError, InvalidError) as error:
        raise UpstreamError(f"An answer is broken: it {error}.") from error


def _outcome(part: "Future[Any]") -> Any:
    """Return a part's result or its error; a late part is cancelled."""
    if not part.done():
        part.cancel()
        return UpstreamTimeoutError("An upstream has not answered in time.")
    error = part.exception()
    if error is None:
        return part.result()
    if isinstance(error, UnavailableError | UpstreamError):
        return error
    raise error
