"""How much of what has failed is published at once, since one message may cost the connection.

A broker ends the connection for a topic without a right, or a header that it can't take, and with
it all other messages that are under way. So after a lost connection they go one by one, then two by
two, and so on until one is lost again.
"""

_MOST_ROWS = 500


class Care:
    """What lost connections have taught, in the try under way and the one before it."""

    def __init__(self) -> None:
        self.is_taken = False
        self.rows = 1
        """How many at once."""
        self._has_lost = False
        self._is_turn = False

    def begin_try(self) -> None:
        """Go on with care if the try before has lost a connection."""
        self.is_taken, self._has_lost = self._has_lost, False
        self.rows = 1

    def note(self, lost: bool) -> None:
        """Note what became of messages: whether the connection was lost with them."""
        if lost:
            self._has_lost = self.is_taken = True
        self.rows = 1 if lost else min(2 * self.rows, _MOST_ROWS)

    def is_turn_of_tried(self) -> bool:
        """Tell whether it is the turn of what has failed, which is each second time."""
        self._is_turn = not self._is_turn
        return self._is_turn
