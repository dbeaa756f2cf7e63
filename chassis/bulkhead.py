"""A bulkhead: no more than so many calls at once, so that one upstream can't take all threads.

Source: M. Nygard, Release It!, "Bulkheads".
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chassis.errors import UnavailableError


class Bulkhead:
    """The calls to one upstream that are in flight; all threads of a process share it."""

    def __init__(self, upstream: str, size: int) -> None:
        """Let `size` calls through at once, to what is named `upstream`."""
        self._upstream = upstream
        self._permits = threading.BoundedSemaphore(size)

    @contextmanager
    def permit(self) -> Iterator[None]:
        """Hold a permit for a block; nobody waits for one.

        Raises:
            UnavailableError: there is none left.
        """
        if not self._permits.acquire(blocking=False):
            detail = f"{self._upstream} has as many requests to answer as it is given at once."
            raise UnavailableError(detail, cause="upstream_busy")
        try:
            yield
        finally:
            self._permits.release()
