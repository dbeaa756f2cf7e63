"""The one place that waits: for a condition with a deadline, never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

from tools.stack.errors import StackError

FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.05, 0.5
SeenT = TypeVar("SeenT")


def wait_for(
    look: Callable[[], SeenT],
    condition: Callable[[SeenT], object],
    seconds: float,
    what: str,
    poll: float | None = None,
) -> SeenT:
    """Call `look()` until its result meets `condition`; return the result.

    Args:
        look: what is called.
        condition: ends the wait.
        seconds: the time limit.
        what: is waited for, for the message.
        poll: seconds between two calls. Without it the pauses grow with the time waited, since
            looking takes the processor from what is waited for: the end is noticed a tenth late,
            and half a second at most.

    Raises:
        StackError: the time is over. Exceptions of either function propagate.
    """
    start = time.monotonic()
    while not condition(seen := look()):
        waited = time.monotonic() - start
        if waited >= seconds:
            raise StackError(f"Waited {seconds:g} s in vain for {what}.")
        time.sleep(poll or max(FIRST_POLL_SECONDS, min(waited / 10, LONGEST_POLL_SECONDS)))
    return seen


def wait_until(
    condition: Callable[[], bool], seconds: float, what: str, poll: float | None = None
) -> None:
    """Return soon after `condition()` is true; see `wait_for`."""
    wait_for(condition, bool, seconds, what, poll)
