"""Destinations for which the broker takes no message: it refuses (nack), or never answers.

A queue that refuses is full (`reject-publish`) or dead: RabbitMQ declares a quorum queue whose
processes have ended as if it were healthy. A channel also remembers that a queue was full after
the limit is gone (seen with 3.10), so that only a new channel helps.
"""

import time
from dataclasses import dataclass

from chassis.backoff import Backoff

_LASTING_SECONDS = 3.0
_LASTING_ROUNDS = 3  # refusals within a moment are one round
_ROUND_SECONDS = 0.5
_REMEMBERED_SECONDS = 90.0  # longer than a relay waits before it tries again
_SHORTEST_PAUSE, _LONGEST_PAUSE = 3.0, 60.0  # seconds between such reconnections
_MOST = 1000  # destinations: clients choose the routing keys of events


@dataclass
class _Refused:
    since: float
    last: float
    rounds: int = 1


class Refusals:
    """The refused destinations; used on the connection's thread.

    `lasting` may be called on any thread.
    """

    def __init__(self) -> None:
        self._refused: dict[str, _Refused] = {}
        self._pauses = Backoff(_SHORTEST_PAUSE, _LONGEST_PAUSE)
        self._not_before = 0.0
        self._has_news = False

    def note(self, destination: str) -> None:
        """Record that a message for `destination` was not taken."""
        now = time.monotonic()
        known = self._refused.get(destination)
        self._has_news = True
        if known is None:
            if len(self._refused) >= _MOST:
                self._refused.clear()
            self._refused[destination] = _Refused(now, now)
        elif now - known.last >= _ROUND_SECONDS:
            known.last = now
            known.rounds += 1

    def forget(self, destination: str) -> None:
        """Record that a message for `destination` was taken."""
        if destination not in self._refused:
            return
        del self._refused[destination]
        if not self._refused:
            self._pauses.reset()
            self._not_before = 0.0

    def lasting(self) -> str | None:
        """Return a destination that has taken nothing for several rounds, the last one recently."""
        now = time.monotonic()
        for destination, refused in list(self._refused.items()):
            lasts = refused.last - refused.since >= _LASTING_SECONDS
            is_recent = now - refused.last < _REMEMBERED_SECONDS
            if lasts and is_recent and refused.rounds >= _LASTING_ROUNDS:
                return destination
        return None

    def wants_new_connection(self) -> bool:
        """Return whether to reconnect now; the pauses grow while reconnecting does not help."""
        now = time.monotonic()
        if not self._has_news or now < self._not_before or self.lasting() is None:
            return False
        self._has_news = False
        self._not_before = now + self._pauses.next()
        return True
