"""Reads and drops the rest of a body that the application has not read, after the answer.

A server that closes a connection with unread bytes resets it. A client that is still sending then
loses the answer (413, 401, 429 …), and a proxy in between loses it almost always.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from werkzeug.wsgi import ClosingIterator

from chassis.errors import UnavailableError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MOST_BYTES = 8 * 1024 * 1024
SECONDS = 3.0
READING_THREADS = 2
"""How many request threads wait for bodies at once, each for `SECONDS` at most."""
READERS = 16
"""How many bodies a process reads on at once, including those of silent senders.

A silent sender occupies its reader and its connection until it disconnects: granian's read has no
time limit, and granian does not expose the socket of a request.
"""
_CHUNK_BYTES = 64 * 1024


def has_body(environ: "WSGIEnvironment") -> bool:
    """Return whether a request has a body, by its headers (RFC 9112, section 6.3)."""
    length = environ.get("CONTENT_LENGTH") or "0"
    return length != "0" or "HTTP_TRANSFER_ENCODING" in environ


class UnreadBodies:
    """WSGI middleware that reads on for `SECONDS` or `MOST_BYTES` at most.

    granian sends each part of an answer at once, and allows no read of the body after the end of
    the answer. So the answer ends when the body has ended, or when time is up. The client knows the
    answer's length and need not wait. While all threads or all readers are taken, answers end at
    once.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._threads = threading.BoundedSemaphore(READING_THREADS)
        self._readers = threading.BoundedSemaphore(READERS)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        if not has_body(environ):
            return self._app(environ, start_response)
        length = environ.get("CONTENT_LENGTH") or ""
        body = Body(environ["wsgi.input"], int(length) if length.isdecimal() else None)
        environ["wsgi.input"] = body
        answer = self._app(environ, start_response)
        # a client that waits for 100 Continue sends no body after a refusal
        if body.is_done or "HTTP_EXPECT" in environ:
            return answer
        return ClosingIterator(self._then_read_on(answer, body), getattr(answer, "close", None))

    def _then_read_on(self, answer: Iterable[bytes], body: "Body") -> Iterator[bytes]:
        yield from answer
        if body.is_done or not self._threads.acquire(blocking=False):
            return
        try:
            self._read_on(body)
        finally:
            self._threads.release()

    def _read_on(self, body: "Body") -> None:
        if not self._readers.acquire(blocking=False):
            return
        # a read of granian blocks until it has all bytes; with a thread, the request need not wait
        reader = threading.Thread(target=self._drop, args=(body,), name="unread", daemon=True)
        reader.start()
        reader.join(SECONDS)

    def _drop(self, body: "Body") -> None:
        try:
            body.drop(MOST_BYTES)
        finally:
            self._readers.release()


class Body:
    """A request's body that knows whether it is read to the end."""

    def __init__(self, stream: Any, length: int | None) -> None:
        """Wrap a stream of `length` bytes, or of unknown length.

        A stream that limits its readers has the stream without limit as `unhindered`.
        """
        self._stream = stream
        self._left = length
        self.is_done = False

    def read(self, size: int = -1, /) -> bytes:
        """Read `size` bytes, fewer only at the end; all if negative.

        Raises:
            UnavailableError: the body is slow, and too many others are slow as well.
        """
        try:
            return self._read(self._stream, size)
        except UnavailableError:
            self.is_done = True  # a slow body is not waited for again
            raise

    def drop(self, most: int) -> None:
        """Read and drop the rest, about `most` bytes at most."""
        stream = getattr(self._stream, "unhindered", self._stream)
        while not self.is_done and most > 0:
            most -= len(self._read(stream, _CHUNK_BYTES))

    def _read(self, stream: Any, size: int) -> bytes:
        data = stream.read(size)
        assert isinstance(data, bytes)
        if self._left is not None:
            self._left -= len(data)
        # the server returns fewer bytes than requested only at the end
        self.is_done = size < 0 or len(data) < size or self._left == 0
        return data
