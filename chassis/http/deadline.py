"""One exchange of a request and its answer over urllib3, all of it before one deadline.

urllib3 limits each read of its own; an answer that drips would take for ever.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from urllib3.connection import HTTPConnection


class _Exchange(NamedTuple):
    target: str
    deadline: float


_current: ContextVar[_Exchange] = ContextVar("exchange")


@contextmanager
def within(target: str, seconds: float) -> Iterator[None]:
    """Give the exchanges of a block their target, and so much time together."""
    token = _current.set(_Exchange(target, time.monotonic() + seconds))
    try:
        yield
    finally:
        _current.reset(token)


def seconds_left() -> float:
    """Return how much time is left.

    Raises:
        TimeoutError: none.
    """
    left = _current.get().deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class Connection(HTTPConnection):
    """A connection for exchanges, to be used within them."""

    def putrequest(self, method: str, url: str, *flags: bool, **named: bool) -> None:
        """Send the target as it came; urllib3 would write its escapes anew."""
        super().putrequest(method, _current.get().target, *flags, **named)

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        limited = _Socket(fileno=made.detach())
        limited.settimeout(made.gettimeout())
        return limited


class _Socket(socket.socket):
    """A socket that waits no longer than until the deadline, however often it is read."""

    def recv_into(self, *arguments: Any) -> int:
        self.settimeout(seconds_left())
        return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:
        self.settimeout(seconds_left())
        super().sendall(*arguments)
