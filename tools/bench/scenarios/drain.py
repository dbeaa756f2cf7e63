"""Draining waiting bills by one and by two consumers."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from psycopg2.errors import UndefinedTable

from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample, at_least, ratio
from tools.bench.measure import Candidate, interleaved
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
        environment: where.
        bills: how many bills wait.
        table: where they are recorded.
        consumers: the programs that are started.
        command: what each of them runs.
        database: of the table, if it is not billing_db.
        before: the largest id of the bills that are recorded before.
    """

    environment: Environment
    bills: int
    table: str
    consumers: Sequence[Program]
    command: Sequence[str]
    database: str | None = None
    before: int = 0

    @contextmanager
    def around(self) -> Iterator[None]:
        """Publish the bills with nothing else in flight; stop the consumers in the end."""
        self.environment.discard_bills()
        with suppress(UndefinedTable):
            self.environment.query("billing", f"TRUNCATE {THEIRS}")
        queue = self.environment.stack.rabbitmq.queue
        words = ("-m", "tools.bench.baselines.window", queue, str(self.bills))
        self.environment.run(*words)
        try:
            yield
        finally:
            for consumer in self.consumers:
                consumer.stop()

    def run(self) -> Sample:
        """Start the consumers and wait until all is recorded; their start does not count."""
        for consumer in self.consumers:
            consumer.start(self.command, **self._variables())
        wait_until(self._has_begun, 60, "the first bill to be recorded", poll=0.005)
        began, first = time.monotonic(), self._recorded()
        # seldom, since counting so many takes the database a while
        wait_until(self._has_ended, DRAIN_SECONDS, "the bills to be drained", poll=0.25)
        rate = (self.bills - first) / (time.monotonic() - began)
        # a bill's CPU time includes that of its event
        self.environment.settle()
        return Sample(rate, units=self.bills)

    def _variables(self) -> dict[str, str]:
        own = {"DATABASE_URL": self.environment.database_url("billing")}
        return own | ({"BILLING_DB_NAME": self.database} if self.database else {})

    def _has_begun(self) -> bool:
        for consumer in self.consumers:
            consumer.check()
        return self._recorded() > 0

    def _has_ended(self) -> bool:
        return self._recorded() >= self.bills

    def _recorded(self) -> int:
        statement = f"SELECT count(*) FROM {self.table} WHERE id > %s"
        # the ORM consumer makes its table when it starts
        with suppress(UndefinedTable):
            [[count]] = self.environment.query(
                "billing", statement, self.before, database=self.database
            )
            return int(count)
        return 0


def measure(environment: Environment) -> Result:
    """Measure the drain while the stack's own consumer is stopped."""
    environment.settle()
    environment.stack.process_manager.call("stop", "billing-consumer")
    try:
        figures = interleaved(environment.stack, _candidates(environment), environment.sizes.rounds)
    finally:
        environment.stack.process_manager.call("start", "billing-consumer")
    return Result("drain", TITLE, figures, ratios(figures), unit="bill")


def _candidates(environment: Environment) -> list[Candidate]:
    one, two = (Program(environment, f"billing-consumer {number}") for number in (1, 2))
    orm = Program(environment, "ORM consumer")
    drains = {
        ONE: Drain(environment, environment.sizes.drained, OURS, [one], CONSUME),
        TWO: Drain(environment, environment.sizes.drained, OURS, [one, two], CONSUME),
        SINGLY: Drain(environment, environment.sizes.drained_singly, THEIRS, [orm], CONSUME_SINGLY),
    }
    return [Candidate(name, _what(name, d.bills), d.run, d.around) for name, d in drains.items()]


def ratios(figures: list[Figure]) -> list[Ratio]:
    """The ratios with their aims."""
    rate = {figure.candidate: figure.rate for figure in figures}
    return [
        at_least(16, f"{ONE} : {SINGLY}", rate[ONE], rate[SINGLY]),
        ratio(f"{TWO} : {SINGLY}", rate[TWO], rate[SINGLY]),
        ratio(f"{TWO} : {ONE}", rate[TWO], rate[ONE]),
    ]


def _what(name: str, bills: int) -> str:
    return f"{WORDS[name]}; {bills:,} bills"
