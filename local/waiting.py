"""The one place that waits: for a condition, never for a while, and never without an end."""

import time
from collections.abc import Callable

from local.errors import StackError

POLL_SECONDS = 0.05


def wait_until(
    condition: Callable[[], bool], seconds: float, what: str, poll: float = POLL_SECONDS
) -> None:
    """Return as soon as `condition()` is true, asking every `poll` seconds.

    Raises StackError naming `what` when `seconds` have passed; what `condition` raises passes.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise StackError(f"Waited {seconds:g} s in vain for {what}.")
        time.sleep(poll)
