"""Exponential back-off with jitter: how long to wait before each next try.

Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

import random

_FIRST_SECONDS, _LONGEST_SECONDS = 0.1, 30.0
_JITTER = 0.25


class Backoff:
    """0.1 s, 0.2 s, 0.4 s and so on, up to 30 s, each a quarter shorter or longer by chance."""

    def __init__(self) -> None:
        self._delay = _FIRST_SECONDS

    def next(self) -> float:
        """Return how many seconds to wait this time."""
        delay = self._delay * random.uniform(1 - _JITTER, 1 + _JITTER)
        self._delay = min(self._delay * 2, _LONGEST_SECONDS)
        return min(delay, _LONGEST_SECONDS)

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._delay = _FIRST_SECONDS
