"""A bulkhead: a limit of concurrent calls, so that one upstream can't take all threads.

A caller without a permit is refused at once, unless the bulkhead has patience: then callers wait
while the upstream answers others. So a burst to a healthy upstream is answered, and an upstream
that hangs keeps nobody waiting for longer than the patience.

Own code: a semaphore waits for a fixed time, whether or not the upstream answers others.
Source: M. Nygard, Release It!, "Bulkheads".
"""

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from chassis.errors import UnavailableError


class Bulkhead:
    """The calls to one upstream that are in flight; all threads of a process share it."""

    def __init__(
        self,
        upstream: str,
        size: int,
        patience: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Allow `size` calls at once.

        Args:
            upstream: its name, for errors.
            size: how many permits there are.
            patience: for how many seconds callers wait for a permit while no call is answered.
            now: a clock that never goes back, in seconds.
        """
        self._upstream = upstream
        self._free = size
        self._patience = patience
        self._now = now
        self._last_progress_at = -math.inf  # last answer, or last free permit taken
        self._changed = threading.Condition()

    def permit(self, seconds: float = math.inf) -> AbstractContextManager[float]:
        """Hold a permit for a block, which must raise if the upstream has not answered.

        The block gets how many seconds the permit was waited for; exactly 0 if one was free.
        Entering it raises UnavailableError if no permit has become free in time.

        Args:
            seconds: the longest wait for a permit, whatever the patience.
        """
        return _Permit(self, seconds)

    def take(self, seconds: float) -> float:
        """Take a permit; return how many seconds that took, exactly 0 if one was free.

        Raises:
            UnavailableError: no permit has become free in time.
        """
        began = end = self._now()
        with self._changed:
            while not self._free:
                left = min(began + seconds, self._last_progress_at + self._patience) - self._now()
                if left <= 0:
                    raise self._refusal()
                self._changed.wait(left)
                end = self._now()
            self._free -= 1
            if not self._free:
                self._last_progress_at = self._now()
        return end - began

    def give_back(self, is_answered: bool) -> None:
        """Give a permit back, and say whether the upstream has answered."""
        with self._changed:
            self._free += 1
            if is_answered:
                self._last_progress_at = self._now()
            self._changed.notify()

    def _refusal(self) -> UnavailableError:
        detail = f"{self._upstream} has too many requests to answer."
        return UnavailableError(detail, cause="upstream_busy")


class _Permit:
    """A permit, held for a block; a class, since a generator costs twice as much."""

    __slots__ = ("_bulkhead", "_seconds")

    def __init__(self, bulkhead: Bulkhead, seconds: float) -> None:
        self._bulkhead = bulkhead
        self._seconds = seconds

    def __enter__(self) -> float:
        return self._bulkhead.take(self._seconds)

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._bulkhead.give_back(kind is None)
