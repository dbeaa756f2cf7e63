"""What is asked of several upstreams at once, for one answer that must not take long."""

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
from chassis.http.upstream import Answer, Call, UpstreamClient
from chassis.schema.decoding import decode

PART_SECONDS, WHOLE_SECONDS = 1.0, 1.4
Read = Callable[[Any], Any]


class Inquiry:
    """All that is asked for one request: each part in its time, and together in theirs."""

    def __init__(self, threads: Executor, caller: str) -> None:
        """Begin now.

        Args:
            threads: in which to ask.
            caller: who asks, for the upstreams.
        """
        self._threads = threads
        self._deadline = time.monotonic() + WHOLE_SECONDS
        current = trace.current()
        traced = current.headers if current else {}
        self._headers = {"Accept": "application/json", identity.HEADER: caller, **traced}

    def call(self, upstream: UpstreamClient, target: str) -> Answer:
        """Ask here and now.

        Raises:
            UnavailableError: the upstream can't be reached, or is not asked.
            UpstreamTimeoutError: it takes too long.
            UpstreamError: its answer is broken.
        """
        return self._call(upstream, target, self._until())

    def ask(self, upstream: UpstreamClient, target: str, read: Read) -> "Future[Any]":
        """Ask in another thread for JSON that `read` makes something of; None if there is none."""
        context, until = copy_context(), self._until()
        return self._threads.submit(context.run, self._ask, upstream, target, read, until)

    def ask_all(self, upstream: UpstreamClient, target: str, read: Read) -> "Future[Any]":
        """Ask likewise for a list, of which `read` gets all pages together."""
        context, until = copy_context(), self._until()
        return self._threads.submit(context.run, self._ask_all, upstream, target, read, until)

    def answers(self, parts: Mapping[str, "Future[Any]"]) -> dict[str, Any]:
        """Wait for parts while there is time; return those that are there, or the error."""
        wait(parts.values(), max(0, self._deadline - time.monotonic()))
        return {name: _outcome(part) for name, part in parts.items()}

    def _until(self) -> float:
        return min(time.monotonic() + PART_SECONDS, self._deadline)

    def _call(self, upstream: UpstreamClient, target: str, until: float) -> Answer:
        call = Call("GET", target, self._headers)
        return upstream.call(call, until - time.monotonic())

    def _ask(self, upstream: UpstreamClient, target: str, read: Read, until: float) -> Any:
        answer = self._call(upstream, target, until)
        if answer.status == 404:
            return None
        return read(_found(upstream, answer))

    def _ask_all(self, upstream: UpstreamClient, target: str, read: Read, until: float) -> Any:
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
    """Return what an upstream has answered, if it is a list.

    Raises:
        UpstreamError: it is none.
    """
    if not isinstance(data, list):
        raise UpstreamError("An upstream has answered with no list.")
    return data


def decoded(answer: Answer) -> Any:
    """Return the JSON that an upstream has answered, with decimals as `Decimal`.

    Raises:
        UpstreamError: it is none.
    """
    try:
        return decode(answer.data)
    except (MalformedJsonError, InvalidError) as error:
        raise UpstreamError(f"An answer is broken: it {error}.") from error


def _outcome(part: "Future[Any]") -> Any:
    """Return a part, or why it is away; one that is late is not waited for."""
    if not part.done():
        part.cancel()
        return UpstreamTimeoutError("An upstream has not answered in time.")
    error = part.exception()
    if error is None:
        return part.result()
    if isinstance(error, UnavailableError | UpstreamError):
        return error
    raise error
