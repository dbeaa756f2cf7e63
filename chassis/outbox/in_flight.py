"""Messages in flight to the broker, those of one aggregate one after the other.

A chain is the messages of one aggregate. Each is published when the one before it is confirmed, and
the chain ends with the first failure. Chains run in parallel. The publisher's thread publishes the
next message of a chain when the confirm arrives.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from chassis.errors import BrokerUnavailableError, ConnectionLostError
from chassis.messaging.publisher import Publisher
from chassis.outbox.waiting import Waiting


class Outcome(NamedTuple):
    """The outcome of a message: confirmed, unless there is a `failure`.

    A message is `lost` if it was in flight when the connection was lost.
    """

    row: Waiting
    failure: str | None
    lost: bool = False


class BlockedKeys(NamedTuple):
    """What must not be taken yet: aggregates, and ids of rows without an aggregate."""

    ids: set[int]
    aggregates: set[str]

    def has(self, row: Waiting) -> bool:
        """Return whether a row is blocked."""
        return row.id in self.ids or row.aggregate in self.aggregates


@dataclass(eq=False)
class _Chain:
    rows: deque[Waiting]
    since: float = field(default_factory=time.monotonic)


class InFlight:
    """The chains of one relay that are in flight."""

    def __init__(self, publisher: Publisher, confirm_seconds: float) -> None:
        """Begin with none.

        Args:
            publisher: started.
            confirm_seconds: how long a message may go unanswered. Then it counts as failed, though
                the broker may still have it.
        """
        self._publisher = publisher
        self._confirm_seconds = confirm_seconds
        self._changed = threading.Condition()
        self._active: set[_Chain] = set()
        self._outcomes: list[Outcome] = []
        self._left = 0

    def __bool__(self) -> bool:
        return bool(self._active)

    def rows(self) -> list[Waiting]:
        """Return all rows without an answer."""
        with self._changed:
            return [row for chain in self._active for row in chain.rows]

    def start(self, rows: Iterable[Waiting]) -> None:
        """Publish rows, which are in order; none of them is among the `blocked_keys`."""
        chains = [_Chain(deque(linked)) for linked in _linked(rows)]
        with self._changed:
            self._active.update(chains)
        self._publish(chains)

    def wait(self, seconds: float, left: int = 0) -> None:
        """Wait until all chains have ended, or all but `left`, for `seconds` at most."""
        with self._changed:
            self._left = left
            self._changed.wait_for(lambda: len(self._active) <= left, seconds)

    def outcomes(self) -> list[Outcome]:
        """Take the outcomes since the last call."""
        with self._changed:
            self._give_up_overdue()
            taken, self._outcomes = self._outcomes, []
        return taken

    def blocked_keys(self) -> BlockedKeys:
        """Return what is in flight, or has an outcome that is not taken yet."""
        with self._changed:
            rows = [chain.rows[0] for chain in self._active]
            rows += [outcome.row for outcome in self._outcomes]
        ids = {row.id for row in rows if row.aggregate is None}
        return BlockedKeys(ids, {row.aggregate for row in rows if row.aggregate is not None})

    def drain(self) -> None:
        """End each chain with the message that is in flight."""
        with self._changed:
            for chain in self._active:
                chain.rows = deque([chain.rows[0]])

    def _publish(self, chains: Iterable[_Chain]) -> None:
        """Publish the first message of each chain."""
        first = [(chain.rows[0].message, partial(self._answered, chain)) for chain in chains]
        self._publisher.send(first)

    def _answered(self, chain: _Chain, error: BrokerUnavailableError | None) -> None:
        failure, lost = (
            None if error is None else str(error),
            isinstance(error, ConnectionLostError),
        )
        with self._changed:
            has_next = chain in self._active and self._settle(chain, failure, lost)
        if has_next:
            self._publish([chain])

    def _settle(self, chain: _Chain, failure: str | None, lost: bool = False) -> bool:
        """Record an answer, and return whether the next row of the chain is to be published."""
        self._outcomes.append(Outcome(chain.rows.popleft(), failure, lost))
        if failure is None and chain.rows:
            chain.since = time.monotonic()
            return True
        self._active.discard(chain)
        if len(self._active) <= self._left:
            self._changed.notify_all()
        return False

    def _give_up_overdue(self) -> None:
        """Count overdue messages as failed; later answers to them are ignored."""
        began = time.monotonic() - self._confirm_seconds
        failure = f"RabbitMQ has not confirmed within {self._confirm_seconds:g} s"
        for chain in [chain for chain in self._active if chain.since < began]:
            self._settle(chain, failure)


def _linked(rows: Iterable[Waiting]) -> Sequence[list[Waiting]]:
    """Return the rows of each aggregate; a row without one stands alone."""
    linked: dict[str | int, list[Waiting]] = {}
    for row in rows:
        linked.setdefault(row.id if row.aggregate is None else row.aggregate, []).append(row)
    return list(linked.values())
