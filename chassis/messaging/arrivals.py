"""Hands messages over from a connection's thread to the one that applies them.

Own code: `queue.Queue` takes a lock and notifies for each message, a quarter of the time that the
connection's thread spends on it. The `get` of a SimpleQueue may wait for ever if a signal handler
outlasts its time limit.
"""

import threading
from collections import deque

from chassis.messaging.delivery import Delivery


class Arrivals:
    """The messages that wait; one thread puts them in, another one takes them."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._arrived = threading.Event()

    def __bool__(self) -> bool:
        """Return whether any message waits."""
        return bool(self._waiting)

    def put(self, delivery: Delivery) -> None:
        """Add a message, and wake the thread that waits for one."""
        self._waiting.append(delivery)
        if not self._arrived.is_set():
            self._arrived.set()

    def take(self, seconds: float) -> Delivery | None:
        """Return the first message; None if none arrives within `seconds`."""
        if not self._waiting and seconds > 0:
            self._arrived.clear()
            # one may have come before the event was cleared
            if not self._waiting:
                self._arrived.wait(seconds)
        return self._waiting.popleft() if self._waiting else None
