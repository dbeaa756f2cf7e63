"""Slow senders: only some of the threads may wait for request bodies at the same time.

The server has no time limit for a body: a client that sends a byte a minute holds a thread. So that
slow clients never hold all threads, further requests with a body are refused at once. Requests
without a body go on. chassis/http/app.py limits the size of a body.
"""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from chassis.errors import UnavailableError
from chassis.http.unread_bodies import has_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_WAIT_SECONDS = 0.25  # for a turn to read; a body that has arrived is read in microseconds


class BodyReadLimiter:
    """WSGI middleware: at most `limit` requests read their bodies at the same time."""

    def __init__(self, app: "WSGIApplication", limit: int) -> None:
        self._app = app
        self._readers = threading.BoundedSemaphore(limit)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        if has_body(environ):
            environ["wsgi.input"] = _LimitedBody(environ["wsgi.input"], self._readers)
        return self._app(environ, start_response)


class _LimitedBody:
    """A body; each read counts as one reader."""

    def __init__(self, body: Any, readers: threading.BoundedSemaphore) -> None:
        self._body = body
        self._readers = readers
        self.unhindered = body  # for chassis.http.unread_bodies, which has a limit of its own

    def read(self, size: int = -1, /) -> bytes:
        """Read `size` bytes, or all.

        Raises:
            UnavailableError: too many other requests are reading theirs.
        """
        if not self._readers.acquire(timeout=_WAIT_SECONDS):
            detail = "Too many requests are slow in sending their bodies; try again."
            raise UnavailableError(detail, cause="slow_bodies")
        try:
            data = self._body.read(size)
        finally:
            self._readers.release()
        assert isinstance(data, bytes)
        return data
