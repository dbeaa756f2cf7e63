"""Deleting old messages, and what that costs the relay beside it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tools.bench import growth
from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample, at_least
from tools.bench.measure import Candidate, interleaved
from tools.stack.waiting import wait_until

TITLE = "Purging sent messages from an outbox"
GROWTH_TITLE = "Relaying from an outbox with many sent messages"
RELAY = "relaying"
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
           now() - %s * interval '1 hour' + n * interval '1 microsecond' END
    FROM generate_series(1, %s) n
"""


@dataclass(frozen=True)
class Turn:
    """A turn of billing-relay.

    Attributes:
        environment: where.
        old: how many messages were sent before.
        waiting: how many wait to be relayed.
        hours: how long ago they were sent; after two days the relay deletes them.
    """

    environment: Environment
    old: int
    waiting: int
    hours: int = 72

    @contextmanager
    def around(self) -> Iterator[None]:
        """Fill the outbox while nothing empties it; empty it in the end."""
        call = self.environment.stack.process_manager.call
        call("stop", PROCESS)
        self.environment.query(DATABASE, FILL, True, self.hours, self.old)
        self.environment.query(DATABASE, FILL, False, self.hours, self.waiting)
        self.environment.query(DATABASE, "VACUUM ANALYZE outbox")
        try:
            yield
        finally:
            call("stop", PROCESS)
            self.environment.query(DATABASE, "TRUNCATE outbox")
            call("start", PROCESS)

    def relay(self) -> Sample:
        """Start the relay and wait until all is sent; its start-up time does not count."""
        return self._emptied("sent_at IS NULL", self.waiting)._replace(units=self.waiting)

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


def measure_growth(environment: Environment) -> Result:
    """Measure the relay while its outbox still has many messages that were sent."""
    environment.settle()
    sizes = environment.sizes
    counts = (0, sizes.many_messages)
    candidates = [
        Candidate(
            growth.name(RELAY, sent),
            f"{sizes.relayed:,} messages that wait in billing's"
            f" outbox, {sent:,} that were sent an hour ago",
            turn.relay,
            turn.around,
        )
        for sent in counts
        for turn in [Turn(environment, sent, sizes.relayed, 1)]
    ]
    figures = interleaved(environment.stack, candidates, sizes.rounds)
    found = [growth.rates(RELAY, counts, figures)]
    return Result("growth-outbox", GROWTH_TITLE, figures, found, unit="message")


def ratios(figures: list[Figure]) -> list[Ratio]:
    """The ratios with their aims."""
    rate = {figure.candidate: figure.rate for figure in figures}
    return [
        at_least(0.6, f"{BESIDE} : {ALONE}", rate[BESIDE], rate[ALONE]),
        at_least(1, f"{PURGE} : {ALONE}", rate[PURGE], rate[ALONE]),
        at_least(100, f"{PURGE} : {NEEDED:g} rows a second", rate[PURGE], NEEDED),
    ]
