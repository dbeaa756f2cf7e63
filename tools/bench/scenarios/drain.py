"""Draining the bills that wait, by one and by two consumers."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote

from psycopg2.errors import UndefinedTable

from tools.bench.environment import Stage
from tools.bench.figures import Figure, Ratio, Row, Sample, at_least, ratio
from tools.bench.measure import Rival, interleaved
from tools.bench.programs import Program
from tools.stack.waiting import wait_until

TITLE = "Draining bills that wait in billing_queue"
ONE, TWO, SINGLY = "1 consumer", "2 consumers", "one-by-one ORM consumer"
OURS, THEIRS = "orders", "bench_bills"
CONSUME = [sys.executable, "-m", "billing", "consume"]
CONSUME_SINGLY = [sys.executable, "-m", "tools.bench.baselines.orm_consumer"]
DRAIN_SECONDS = 600.0
WORDS = {
    ONE: "billing-consumer: adaptive batches, each bill once, with its event in the outbox",
    TWO: "two billing-consumers at once",
    SINGLY: "pika and SQLAlchemy's ORM: an insert, a commit and an ack for each, prefetch 200",
}


@dataclass(frozen=True)
class Drain:
    """A turn of one kind of consumer.

    Attributes:
        stage: where.
        bills: how many wait.
        table: where they are recorded, in billing_db.
        consumers: programs that are started for it.
        command: what each of them runs.
    """

    stage: Stage
    bills: int
    table: str
    consumers: Sequence[Program]
    command: Sequence[str]

    @contextmanager
    def around(self) -> Iterator[None]:
        """Have the bills wait, with nothing else under way, and the consumers gone in the end."""
        self.stage.discard_bills()
        with suppress(UndefinedTable):
            self.stage.query("billing", f"TRUNCATE {THEIRS}")
        queue = self.stage.stack.rabbitmq.queue
        words = ("-m", "tools.bench.baselines.window", queue, str(self.bills))
        self.stage.run(*words)
        try:
            yield
        finally:
            for consumer in self.consumers:
                consumer.stop()

    def run(self) -> Sample:
        """Start the consumers and wait until all is recorded; the start does not count."""
        for consumer in self.consumers:
            consumer.start(self.command, DATABASE_URL=self._database_url())
        wait_until(self._has_begun, 60, "the first bill to be recorded", poll=0.005)
        began, first = time.monotonic(), self._recorded()
        # seldom, since it takes the database a while to count so many
        wait_until(self._has_ended, DRAIN_SECONDS, "the bills to be drained", poll=0.25)
        return Sample((self.bills - first) / (time.monotonic() - began))

    def _has_begun(self) -> bool:
        for consumer in self.consumers:
            consumer.check()
        return self._recorded() > 0

    def _has_ended(self) -> bool:
        return self._recorded() >= self.bills

    def _recorded(self) -> int:
        # the ORM consumer makes its table when it starts
        with suppress(UndefinedTable):
            return int(self.stage.query("billing", f"SELECT count(*) FROM {self.table}")[0][0])
        return 0

    def _database_url(self) -> str:
        host, port, name, user, password = map(quote, self.stage.database("billing"))
        return f"postgresql+psycopg2://{user}:{password}@{host}:{port}/{name}"


def measure(stage: Stage) -> Row:
    """Measure the drain with the stack's own consumer stopped meanwhile."""
    stage.settle()
    stage.stack.process_manager.call("stop", "billing-consumer")
    try:
        figures = interleaved(stage.stack, _rivals(stage), stage.sizes.rounds)
    finally:
        stage.stack.process_manager.call("start", "billing-consumer")
    return Row("drain", TITLE, figures, ratios(figures))


def _rivals(stage: Stage) -> list[Rival]:
    one, two = (Program(stage, f"billing-consumer {number}") for number in (1, 2))
    orm = Program(stage, "ORM consumer")
    drains = {
        ONE: Drain(stage, stage.sizes.drained, OURS, [one], CONSUME),
        TWO: Drain(stage, stage.sizes.drained, OURS, [one, two], CONSUME),
        SINGLY: Drain(stage, stage.sizes.drained_singly, THEIRS, [orm], CONSUME_SINGLY),
    }
    return [Rival(name, _what(name, d.bills), d.run, d.around) for name, d in drains.items()]


def ratios(figures: list[Figure]) -> list[Ratio]:
    """What was aimed at."""
    rate = {figure.rival: figure.rate for figure in figures}
    return [
        at_least(25, f"{ONE} : {SINGLY}", rate[ONE], rate[SINGLY]),
        ratio(f"{TWO} : {SINGLY}", rate[TWO], rate[SINGLY]),
        ratio(f"{TWO} : {ONE}", rate[TWO], rate[ONE]),
    ]


def _what(name: str, bills: int) -> str:
    return f"{WORDS[name]}; {bills:,} bills"
