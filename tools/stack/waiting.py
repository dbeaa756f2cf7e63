"""The one place that waits: for a condition, never for a while, and never without an end."""

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
    """Return what `look()` sees as soon as `condition` holds of it, looking every `poll` seconds.

    Raises StackError naming `what` when `seconds` have passed; what either raises passes.
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
    """Return as soon as `condition()` is true, asking every `poll` seconds; see `wait_for`."""
    wait_for(condition, bool, seconds, what, poll)
