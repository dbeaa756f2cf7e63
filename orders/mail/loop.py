"""Work in a thread, again and again, until it is told to stop; what is away is waited for."""

import logging
import random
import threading
from collections.abc import Callable
from datetime import timedelta

from chassis.errors import first_line
from chassis.storage import database

_POLL_SECONDS = 1.0
_FIRST_SECONDS, _LONGEST_SECONDS, _JITTER = 0.5, 60.0, 0.25
logger = logging.getLogger(__name__)


def repeat(work: Callable[[], bool], idle: Callable[[], object], stop: threading.Event) -> None:
    """Call `work` until `stop` is set.

    Args:
        work: does one piece, and tells whether there was one.
        idle: called when there was none; waits until there may be one, not too long.
        stop: set when the thread shall end.
    """
    while not stop.is_set():
        if not _done(work, stop):
            idle()


def woken(wake: threading.Event) -> Callable[[], None]:
    """Return what waits for `wake` to be set, at most a second: others write to the table, too."""

    def idle() -> None:
        wake.wait(_POLL_SECONDS)
        wake.clear()

    return idle


def _done(work: Callable[[], bool], stop: threading.Event) -> bool:
    try:
        return work()
    except Exception as error:
        if database.is_outage(error):
            logger.warning("waiting for the database", extra={"reason": first_line(error)})
        else:
            logger.exception("a mail can't be worked on")
        stop.wait(_POLL_SECONDS)
        return False


def pause(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts: half a second first, a minute at last."""
    seconds = min(_FIRST_SECONDS * 2 ** min(attempts - 1, 16), _LONGEST_SECONDS)
    return timedelta(seconds=seconds * random.uniform(1 - _JITTER, 1 + _JITTER))
