"""Closes connections whose peers do not read answers, which would stay in memory forever.

granian has no time limit for writing. The kernel has one: it closes a connection whose peer takes
nothing for that time. Connections inherit the limit from the listening socket.

Source: tcp(7), TCP_USER_TIMEOUT; accurate for a closed window since Linux 5.11.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SECONDS = 30.0
_POLL_SECONDS = 0.05
_START_SECONDS = 60.0
logger = logging.getLogger(__name__)


def close_unread(seconds: float = SECONDS) -> None:
    """Have this process's server close connections whose peers take nothing for `seconds`.

    A peer that takes a little now and then keeps its connection.
    """
    arguments = (round(seconds * 1000),)
    threading.Thread(target=_limit, args=arguments, name="unread answers", daemon=True).start()


def limit(listener: socket.socket, milliseconds: int = round(SECONDS * 1000)) -> None:
    """Limit how long peers of connections accepted by `listener` may take nothing."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _limit(milliseconds: int) -> None:
    """Wait until the server listens, which is after the application is loaded."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        is_limited = False
        for listener in _listeners():
            limit(listener, milliseconds)
            is_limited = True
        if is_limited:
            logger.info("answers have to be read", extra={"within_milliseconds": milliseconds})
            return
        time.sleep(_POLL_SECONDS)
    logger.error("no socket listens; an answer that nobody reads stays in memory")


def _listeners() -> Iterator[socket.socket]:
    """Lend each listening TCP socket of this process."""
    for entry in Path("/proc/self/fd").iterdir():
        # a descriptor may be closed meanwhile
        with suppress(OSError):
            if os.readlink(entry).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as candidate:
                    if _listens(candidate):
                        yield candidate


def _listens(candidate: socket.socket) -> bool:
    is_tcp = candidate.family in (socket.AF_INET, socket.AF_INET6)
    listens = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return is_tcp and bool(listens)
