"""A deadline for a whole exchange of request and answer over urllib3.

urllib3 limits each single read; an answer that drips could take forever.
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
    """Set the target and the total time, in seconds, of the exchanges in a block."""
    token = _current.set(_Exchange(target, time.monotonic() + seconds))
    try:
        yield
    finally:
        _current.reset(token)


def seconds_left() -> float:
    """Return how much time is left.

    Raises:
        TimeoutError: no time is left.
    """
    left = _current.get().deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class Connection(HTTPConnection):
    """A connection for exchanges; it must be used inside `within`."""

    def putrequest(self, method: str, url: str, *flags: bool, **named: bool) -> None:
        """Send the target unchanged; urllib3 would normalize its percent-encoding."""
        super().putrequest(method, _current.get().target, *flags, **named)

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        limited = _Socket(fileno=made.detach())
        limited.settimeout(made.gettimeout())
        return limited


class _Socket(socket.socket):
    """A socket whose reads and writes all end at the deadline."""

    def recv_into(self, *arguments: Any) -> int:
        self.settimeout(seconds_left())
        return super().recv_into(*arguments)

    def sendall(self, *arguments: Any) -> None:
        self.settimeout(seconds_left())
        super().sendall(*arguments)
