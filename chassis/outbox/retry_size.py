"""How many failed messages are retried at once, since one message may cost the connection.

A broker closes the connection for a topic without permission, or a header that it can't take. All
other messages in flight fail with it. So after a lost connection they are retried one by one, then
two by two, and so on until a connection is lost again.
"""

_MOST_ROWS = 500


class RetrySize:
    """Adapts to lost connections, in the current retry and the one before it."""

    def __init__(self) -> None:
        self.is_reduced = False
        self.rows = 1
        """How many messages at once."""
        self._has_lost = False
        self._is_turn = False

    def begin_try(self) -> None:
        """Begin a retry, reduced if the one before has lost a connection."""
        self.is_reduced, self._has_lost = self._has_lost, False
        self.rows = 1

    def note(self, lost: bool) -> None:
        """Record whether the connection was lost while messages were in flight."""
        if lost:
            self._has_lost = self.is_reduced = True
        self.rows = 1 if lost else min(2 * self.rows, _MOST_ROWS)

    def is_retry_turn(self) -> bool:
        """Return whether it is the turn of failed messages, which is every second call."""
        self._is_turn = not self._is_turn
        return self._is_turn
