"""Reads from one service by another over HTTP, in the caller's trace, never for long.

A service that hangs must not take its callers down: the client stands behind a circuit breaker and
a bulkhead, and each call has one deadline: for its permit, the connection, the answer and a second
try together.
"""

from typing import Any
from urllib.parse import urlencode

from werkzeug.exceptions import BadRequest

from chassis import parsing, trace
from chassis.errors import NotFoundError, UnavailableError, UpstreamError
from chassis.settings import Upstream
from chassis.upstream import Call, UpstreamClient

SECONDS = 1.5
"""How much time a call has in all."""
PATIENCE_SECONDS = 0.25
"""How long a call waits for others' to end while the service answers none of them."""


def share_of(threads: int) -> int:
    """Return how many of a server's threads may wait for one other service: a quarter, or one."""
    return max(1, threads // 4)


class ServiceClient:
    """Reads from one other service; all threads of a process share it."""

    def __init__(self, upstream: Upstream, in_flight: int = 1) -> None:
        """Make no connection before one is needed.

        Args:
            upstream: where the service is.
            in_flight: how many calls it may have to answer at once.
        """
        self.name = upstream.name
        self._client = UpstreamClient(upstream, in_flight, SECONDS, PATIENCE_SECONDS)

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON at `path`, with decimals as `Decimal`.

        Raises:
            NotFoundError: 404.
            UnavailableError: it can't be reached, says so itself (503), or is not asked, since its
                circuit is open or as many calls as it may have wait for it.
            UpstreamTimeoutError: it has not answered within `SECONDS`.
            UpstreamError: another answer than 200, or one that is not JSON.
        """
        current = trace.current()
        target = f"{path}?{urlencode(query)}" if query else path
        answer = self._client.call(Call("GET", target, current.headers if current else {}))
        if answer.status == 404:
            raise NotFoundError(f"{self.name} knows nothing at {path}.")
        if answer.status == 503:
            raise UnavailableError(f"{self.name} is not available.", cause="upstream_unavailable")
        if answer.status != 200:
            raise UpstreamError(f"{self.name} has answered {answer.status}.")
        try:
            return parsing.decoded(answer.data)
        except BadRequest as error:
            raise UpstreamError(f"{self.name} has not answered with JSON.") from error
