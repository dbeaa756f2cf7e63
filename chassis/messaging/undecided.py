"""Messages that failed, while it is unknown whether they or the database are at fault.

Another message that succeeds decides that. Each is tried when it arrives, and later in its turn, so
a message that succeeds is found behind any number of them.
"""

import time
from collections.abc import Iterable, Sequence

from chassis.messaging.delivery import Delivery
from chassis.messaging.window import BATCH

_PAUSE_SECONDS = 2.0  # between attempts, where no other message comes
_SAMPLE = 50  # that are tried with what comes
_EVIDENCE_SECONDS = 30.0


class Undecided:
    """The messages, unacknowledged, in the order in which they are tried again."""

    def __init__(self) -> None:
        self._waiting: list[Delivery] = []
        self._decidable: list[Delivery] = []
        self._next_at = self._succeeded_at = 0.0

    def deliveries(self) -> Sequence[Delivery]:
        """Return all messages."""
        return [*self._decidable, *self._waiting]

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Have messages wait, behind the others."""
        self._waiting += deliveries

    def note_success(self) -> None:
        """Note that another message has just succeeded, so the database works.

        It decides messages that failed before it, and none that fails later.
        """
        self._succeeded_at = time.monotonic()
        self._decidable += self._waiting
        self._waiting = []

    def decidable(self) -> list[Delivery]:
        """Take messages that are at fault if they fail again, since another has succeeded."""
        if time.monotonic() - self._succeeded_at > _EVIDENCE_SECONDS:
            self._waiting = [*self._decidable, *self._waiting]
            self._decidable = []
        self._decidable, self._waiting = _ours(self._decidable), _ours(self._waiting)
        taken, self._decidable = self._decidable[:BATCH], self._decidable[BATCH:]
        return taken

    def due(self, has_company: bool) -> list[Delivery]:
        """Take some messages to be tried: with others that have come, or after a pause."""
        if not has_company and time.monotonic() < self._next_at:
            return []
        self._next_at = time.monotonic() + _PAUSE_SECONDS
        taken, self._waiting = self._waiting[:_SAMPLE], self._waiting[_SAMPLE:]
        return taken


def _ours(deliveries: Iterable[Delivery]) -> list[Delivery]:
    return [delivery for delivery in deliveries if delivery.is_ours]
