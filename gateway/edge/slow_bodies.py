"""Slow senders: only some of the threads may wait for bodies at the same time.

The server has no time limit for a body: whoever sends one a byte a minute keeps a thread. So that
no number of them keeps all threads, and reading goes on, the others are turned away at once.
"""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from chassis.errors import UnavailableError
from chassis.http.unread_bodies import has_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATIENCE = 0.25  # seconds; a body that is there is read in microseconds


class Bodies:
    """WSGI middleware: at most `places` requests wait for their bodies at the same time."""

    def __init__(self, app: "WSGIApplication", places: int) -> None:
        self._app = app
        self._places = threading.BoundedSemaphore(places)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        if has_body(environ):
            environ["wsgi.input"] = _Body(environ["wsgi.input"], self._places)
        return self._app(environ, start_response)


class _Body:
    """A body that is read while a place is taken."""

    def __init__(self, body: Any, places: threading.BoundedSemaphore) -> None:
        self._body = body
        self._places = places
        self.unhindered = body  # for chassis.http.unread_bodies, which has places of its own

    def read(self, size: int = -1, /) -> bytes:
        """Read `size` bytes, or all.

        Raises:
            UnavailableError: too many others are slow with theirs.
        """
        if not self._places.acquire(timeout=_PATIENCE):
            detail = "Too many requests are slow in sending their bodies; try again."
            raise UnavailableError(detail, cause="slow_bodies")
        try:
            data = self._body.read(size)
        finally:
            self._places.release()
        assert isinstance(data, bytes)
        return data
