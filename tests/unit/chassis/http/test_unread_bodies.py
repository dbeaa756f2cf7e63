"""Bodies that are read on after a refusal: how many threads and readers that may take."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from werkzeug.test import create_environ

from chassis.http import unread_bodies
from chassis.http.unread_bodies import READERS, READING_THREADS, UnreadBodies, has_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Sender:
    """A request's body that stops until its sender is told to leave."""

    def __init__(self, is_silent: bool) -> None:
        self.was_read = threading.Event()
        self._left = threading.Event()
        if not is_silent:
            self._left.set()

    def read(self, size: int = -1) -> bytes:
        """Read to the end, which comes when the sender leaves."""
        self._left.wait(60)
        self.was_read.set()
        return b""

    def leave(self) -> None:
        """End the body."""
        self._left.set()


def refuse(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Refuse a request without reading its body."""
    start_response("401 Unauthorized", [])
    return [b"no"]


def send(app: UnreadBodies, sender: Sender) -> list[bytes]:
    """Have a request answered to its end."""
    environ = create_environ(method="POST")
    environ |= {"CONTENT_LENGTH": "100000", "wsgi.input": sender}
    return list(app(environ, lambda *_: lambda _: None))


@pytest.fixture
def leaving(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """What has senders leave at the end of a test; nobody waits long for them."""
    monkeypatch.setattr(unread_bodies, "SECONDS", 0.05)
    with ExitStack() as stack:
        yield stack


def test_silent_senders_occupy_no_slot(leaving: ExitStack) -> None:
    app = UnreadBodies(refuse)
    for _ in range(READING_THREADS + 1):
        silent = Sender(is_silent=True)
        leaving.callback(silent.leave)
        assert send(app, silent) == [b"no"]
    talking = Sender(is_silent=False)
    assert send(app, talking) == [b"no"]
    assert talking.was_read.wait(30)


def test_as_many_senders_as_there_are_readers_may_be_silent_at_once(leaving: ExitStack) -> None:
    app = UnreadBodies(refuse)
    for _ in range(READERS):
        silent = Sender(is_silent=True)
        leaving.callback(silent.leave)
        send(app, silent)
    one_more = Sender(is_silent=False)
    assert send(app, one_more) == [b"no"]
    assert not one_more.was_read.is_set()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"Content-Length": ""}, False),
        ({"Content-Length": "0"}, False),
        ({"Content-Length": "1"}, True),
        ({"Content-Length": "x"}, True),
        ({"Transfer-Encoding": "chunked"}, True),
        ({"Content-Length": "0", "Transfer-Encoding": "chunked"}, True),
    ],
)
def test_a_request_has_a_body_if_its_headers_announce_one(
    headers: dict[str, str], expected: bool
) -> None:
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    if "HTTP_CONTENT_LENGTH" in environ:
        environ["CONTENT_LENGTH"] = environ.pop("HTTP_CONTENT_LENGTH")
    assert has_body(environ) is expected
