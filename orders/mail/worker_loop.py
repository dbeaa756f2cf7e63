"""A loop for worker threads, which survives an unavailable database, and the wait before a retry.

sender.py decides which mails are retried.
"""

import logging
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
        work: does one piece of work; False if there was none.
        idle: called if there was none; waits a short time until there may be some.
        stop: set to end the loop.
    """
    while not stop.is_set():
        if not _done(work, stop):
            idle()


def woken(wake: threading.Event) -> Callable[[], None]:
    """Return a function that waits for `wake`, at most a second: other processes write as well."""

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


def retry_wait(attempts: int, chance: float) -> timedelta:
    """Return how long to wait before the next attempt.

    Args:
        attempts: how many were made, from 1; the wait doubles from half a second to a minute.
        chance: from 0 to 1: 0 makes the wait a quarter shorter, 1 a quarter longer.
    """
    seconds = min(_FIRST_SECONDS * 2 ** min(attempts - 1, 16), _LONGEST_SECONDS)
    return timedelta(seconds=seconds * (1 + _JITTER * (2 * chance - 1)))
