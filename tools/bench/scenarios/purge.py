"""Deleting old messages, and what that costs the relay beside it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample, at_least
from tools.bench.measure import Candidate, interleaved
from tools.stack.waiting import wait_until

TITLE = "Purging sent messages from an outbox"
ALONE, BESIDE, PURGE = "relay alone", "relay beside the purge", "purge"
PROCESS, DATABASE = "billing-relay", "billing"
SECONDS = 3600.0
# rows a second: one thousand a minute
NEEDED = 17.0
FILL = """
    INSERT INTO outbox (message_id, exchange, routing_key, content_type, mandatory, headers, body,
                        sent_at)
    SELECT md5(n::text), 'billing_events', 'bench.purge', 'text/plain', false, '{}',
           convert_to(repeat('x', 400), 'UTF8'), CASE WHEN %s THEN
           now() - interval '3 days' + n * interval '1 microsecond' END
    FROM generate_series(1, %s) n
"""


@dataclass(frozen=True)
class Turn:
    """A turn of billing-relay.

    Attributes:
        environment: where.
        old: how many messages were sent three days ago.
        waiting: how many wait to be relayed.
    """

    environment: Environment
    old: int
    waiting: int

    @contextmanager
    def around(self) -> Iterator[None]:
        """Fill the outbox while nothing empties it; empty it in the end."""
        call = self.environment.stack.process_manager.call
        call("stop", PROCESS)
        self.environment.query(DATABASE, FILL, True, self.old)
        self.environment.query(DATABASE, FILL, False, self.waiting)
        self.environment.query(DATABASE, "VACUUM ANALYZE outbox")
        try:
            yield
        finally:
            call("stop", PROCESS)
            self.environment.query(DATABASE, "TRUNCATE outbox")
            call("start", PROCESS)

    def relay(self) -> Sample:
        """Start the relay and wait until all is sent; its start-up time does not count."""
        return self._emptied("sent_at IS NULL", self.waiting)

    def purge(self) -> Sample:
        """Start the relay's process and wait until nothing old is left."""
        return self._emptied("sent_at < now() - interval '2 days'", self.old)

    def _emptied(self, which: str, rows: int) -> Sample:
        self.environment.stack.process_manager.call("start", PROCESS)
        wait_until(
            lambda: self._count(which) < rows, 60, "the first message to be handled", poll=0.05
        )
        began, first = time.monotonic(), self._count(which)
        wait_until(
            lambda: self._count(which) == 0, SECONDS, "all messages to be handled", poll=0.25
        )
        return Sample(first / (time.monotonic() - began))

    def _count(self, which: str) -> int:
        return int(
            self.environment.query(DATABASE, f"SELECT count(*) FROM outbox WHERE {which}")[0][0]
        )


def measure(environment: Environment) -> Result:
    """Measure the relay with and without old messages beside it, and the purge of many."""
    environment.settle()
    sizes = environment.sizes
    alone, beside = (Turn(environment, old, sizes.relayed) for old in (0, sizes.purged // 5))
    words = f"{sizes.relayed:,} messages that wait in billing's outbox"
    relays = [
        Candidate(ALONE, words, alone.relay, alone.around),
        Candidate(BESIDE, f"{words}, {beside.old:,} old ones", beside.relay, beside.around),
    ]
    figures = interleaved(environment.stack, relays, sizes.rounds)
    many = Turn(environment, sizes.purged, 0)
    purge = Candidate(PURGE, f"{sizes.purged:,} old messages of 400 bytes", many.purge, many.around)
    figures += interleaved(environment.stack, [purge], 1)
    return Result("purge", TITLE, figures, ratios(figures))


def ratios(figures: list[Figure]) -> list[Ratio]:
    """The ratios with their aims."""
    rate = {figure.candidate: figure.rate for figure in figures}
    return [
        at_least(0.6, f"{BESIDE} : {ALONE}", rate[BESIDE], rate[ALONE]),
        at_least(1, f"{PURGE} : {ALONE}", rate[PURGE], rate[ALONE]),
        at_least(100, f"{PURGE} : {NEEDED:g} rows a second", rate[PURGE], NEEDED),
    ]
