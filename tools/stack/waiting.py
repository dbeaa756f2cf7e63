"""The one place that waits: for a condition with a deadline, never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

from tools.stack.errors import StackError

POLL_SECONDS = 0.05
SeenT = TypeVar("SeenT")


def wait_for(
    look: Callable[[], SeenT],
    condition: Callable[[SeenT], object],
    seconds: float,
    what: str,
    poll: float = POLL_SECONDS,
) -> SeenT:
    """Call `look()` every `poll` seconds until its result meets `condition`; returns the result.

    Raises StackError naming `what` after `seconds`; exceptions of either function propagate.
    """
    deadline = time.monotonic() + seconds
    while not condition(seen := look()):
        if time.monotonic() >= deadline:
            raise StackError(f"Waited {seconds:g} s in vain for {what}.")
        time.sleep(poll)
    return seen


def wait_until(
    condition: Callable[[], bool], seconds: float, what: str, poll: float = POLL_SECONDS
) -> None:
    """Return as soon as `condition()` is true, checked every `poll` seconds; see `wait_for`."""
    wait_for(condition, bool, seconds, what, poll)
