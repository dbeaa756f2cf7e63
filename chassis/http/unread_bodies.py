"""Bodies that the application has not read are read on, and dropped, once the answer is sent.

A server that closes a connection with bytes unread resets it, and a client that still sends then
loses the answer that says why (413, 401, 429 …). A proxy in between loses it almost always.
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
"""How many threads for requests wait for bodies at once, each for `SECONDS` at most."""
READERS = 16
"""How many bodies a process reads on at once, those of senders that fell silent included.

Such a sender keeps its reader and its connection until it leaves: a read of the server's has no
time limit, and the server does not say which socket a request came from.
"""
_CHUNK_BYTES = 64 * 1024


def has_body(environ: "WSGIEnvironment") -> bool:
    """Tell whether a request announces a body, by its headers (RFC 9112, section 6.3)."""
    length = environ.get("CONTENT_LENGTH") or "0"
    return length != "0" or "HTTP_TRANSFER_ENCODING" in environ


class UnreadBodies:
    """WSGI middleware: reads on for `SECONDS` or `MOST_BYTES` at most.

    granian sends each part of an answer at once, and lets nobody read a body after the end of the
    answer. So the answer ends when the body has ended, or when time is up. The answer's length is
    known to the client, which need not wait. While all places or all readers are taken, answers end
    at once.
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
        # granian waits for as many bytes as it is asked for, however long; a thread need not
        reader = threading.Thread(target=self._drop, args=(body,), name="unread", daemon=True)
        reader.start()
        reader.join(SECONDS)

    def _drop(self, body: "Body") -> None:
        try:
            body.drop(MOST_BYTES)
        finally:
            self._readers.release()


class Body:
    """A request's body that knows whether somebody still has to read it."""

    def __init__(self, stream: Any, length: int | None) -> None:
        """Take over a stream of `length` bytes, or of unknown length.

        A stream that makes readers wait for a place has its own stream as `unhindered`.
        """
        self._stream = stream
        self._left = length
        self.is_done = False

    def read(self, size: int = -1, /) -> bytes:
        """Read `size` bytes, fewer only at the end, or all.

        Raises:
            UnavailableError: the body is slow, and too many others are.
        """
        try:
            return self._read(self._stream, size)
        except UnavailableError:
            self.is_done = True  # one that is known to be slow is not waited for again
            raise

    def drop(self, most: int) -> None:
        """Read the rest, or about `most` bytes of it, and keep none."""
        stream = getattr(self._stream, "unhindered", self._stream)
        while not self.is_done and most > 0:
            most -= len(self._read(stream, _CHUNK_BYTES))

    def _read(self, stream: Any, size: int) -> bytes:
        data = stream.read(size)
        assert isinstance(data, bytes)
        if self._left is not None:
            self._left -= len(data)
        # the server gives fewer bytes than asked for at the end alone
        self.is_done = size < 0 or len(data) < size or self._left == 0
        return data
