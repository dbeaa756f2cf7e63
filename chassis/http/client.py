"""HTTP reads from one service by another, in the caller's trace, with a short deadline.

A service that hangs must not take its callers down. So the client has a circuit breaker and a
bulkhead, and each call has one deadline for the permit, the connection, the answer and a retry.
"""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from chassis import trace
from chassis.errors import (
    InvalidError,
    MalformedJsonError,
    NotFoundError,
    UnavailableError,
    UpstreamError,
)
from chassis.http import links
from chassis.http.answer import Answer
from chassis.http.call import Call
from chassis.http.upstream import UpstreamClient
from chassis.schema.decoding import decode
from chassis.settings import Upstream

SECONDS = 1.5
"""The total time of a call, unless its client has another limit."""
PATIENCE_SECONDS = 0.25
"""How long a call waits for a permit while the service answers none of the others."""


def share_of(threads: int) -> int:
    """Return how many of a server's threads may wait for one upstream: a quarter, at least one."""
    return max(1, threads // 4)


class ServiceClient:
    """Reads from one other service; all threads of a process share it."""

    def __init__(self, upstream: Upstream, in_flight: int = 1, seconds: float = SECONDS) -> None:
        """Prepare a client; it connects with the first call.

        Args:
            upstream: where the service is.
            in_flight: how many calls may be in flight at once.
            seconds: the total time of a call.
        """
        self.name = upstream.name
        self._client = UpstreamClient(upstream, in_flight, seconds, PATIENCE_SECONDS)

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON at `path`, with decimals as `Decimal`.

        Raises:
            NotFoundError: 404.
            UnavailableError: it can't be reached or answers 503; or the call is refused, since the
                circuit is open or too many calls are in flight.
            UpstreamTimeoutError: it has not answered in time.
            UpstreamError: another status than 200, or the body is not JSON.
        """
        return self._content(self._call(_target(path, query)))

    def pages(self, path: str, **query: str) -> Iterator[list[Any]]:
        """Return the pages of a list lazily, following their links.

        Raises:
            NotFoundError, UnavailableError, UpstreamTimeoutError: see `get`, for each page.
            UpstreamError: the same; or an answer is not a list, or a page links to itself.
        """
        target: str | None = _target(path, query)
        while target is not None:
            page, target = self._page(target)
            yield page

    def rows(self, path: str, **query: str) -> list[Any]:
        """Return the rows of all pages of a list, within the time of one call.

        Raises:
            NotFoundError, UnavailableError, UpstreamTimeoutError, UpstreamError: see `pages`.
        """
        until = time.monotonic() + self._client.seconds
        # the first page gets the full time, or the breaker would not count a time-out
        rows, target = self._page(_target(path, query))
        while target is not None:
            page, target = self._page(target, until - time.monotonic())
            rows += page
        return rows

    def _page(self, target: str, seconds: float | None = None) -> tuple[list[Any], str | None]:
        """Return a page's rows, and the target of the next one."""
        answer = self._call(target, seconds)
        page, following = self._content(answer), links.next_target(answer.headers.get("Link"))
        if not isinstance(page, list):
            raise UpstreamError(f"{self.name} has not answered with a list.")
        if following == target:
            raise UpstreamError(f"{self.name} has answered with a page that links to itself.")
        return page, following

    def _call(self, target: str, seconds: float | None = None) -> Answer:
        current = trace.current()
        call = Call("GET", target, current.headers if current else {})
        return self._client.call(call, seconds)

    def _content(self, answer: Answer) -> Any:
        if answer.status == 404:
            raise NotFoundError(f"{self.name} knows no such thing.")
        if answer.status == 503:
            raise UnavailableError(f"{self.name} is not available.", cause="upstream_unavailable")
        if answer.status != 200:
            raise UpstreamError(f"{self.name} has answered {answer.status}.")
        try:
            return decode(answer.data)
        except (MalformedJsonError, InvalidError) as error:
            raise UpstreamError(f"{self.name} has not answered with JSON.") from error


def _target(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
