"""Exponential back-off with jitter: how long to wait before each retry.

Own code: tenacity retries a function in its thread; our loops wait for events and need a number.
Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

import random

_JITTER = 0.25


class Backoff:
    """Waits that double up to a maximum, each randomly up to a quarter shorter or longer."""

    def __init__(self, first: float = 0.1, longest: float = 30.0) -> None:
        """Begin with a wait of `first` seconds; no wait is longer than `longest`."""
        self._first, self._longest = first, longest
        self._delay = first

    def next(self) -> float:
        """Return the next wait in seconds."""
        delay = self._delay * random.uniform(1 - _JITTER, 1 + _JITTER)
        self._delay = min(self._delay * 2, self._longest)
        return min(delay, self._longest)

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._delay = self._first
