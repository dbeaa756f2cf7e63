"""Reading and recording bills over few and many of them."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests

from tools.bench import growth, servers, wrk
from tools.bench.environment import Environment
from tools.bench.figures import Result, Sample
from tools.bench.measure import Candidate, interleaved
from tools.bench.programs import Program
from tools.bench.scenarios import drain

TITLE = "Reading and recording bills as bills become more"
FIRST, DEEP, USER, ONE = "first page", "deep page", "page of a user", "one bill"
READS = (FIRST, DEEP, USER, ONE)
RECORD = "recording"
SERVICE = "billing"
BILLS_A_USER = 100
FILL = """
    INSERT INTO orders (message_id, user_id, number_of_items, total_amount)
    SELECT md5(n::text), 'usr_' || n / %s, n %% 9 + 1, n %% 10000 / 100.0
    FROM generate_series(1, %s) n
"""


@dataclass(frozen=True)
class Bills:
    """A database with a number of bills."""

    environment: Environment
    bills: int

    @property
    def database(self) -> str:
        """Its name."""
        return f"bench_{self.bills}_bills"

    @property
    def variables(self) -> dict[str, str]:
        """What makes a process of billing use it."""
        return {"BILLING_DB_NAME": self.database}

    def make(self) -> None:
        """Make and fill it."""
        self.environment.make_database(SERVICE, self.database)
        self.query(FILL, BILLS_A_USER, self.bills)
        self.query("VACUUM ANALYZE orders")

    def query(self, statement: str, *values: object) -> list[Any]:
        """Run a statement in it."""
        return self.environment.query(SERVICE, statement, *values, database=self.database)

    def _message_id(self, number: int) -> str:
        [[found]] = self.query("SELECT message_id FROM orders WHERE id = %s", number)
        return str(found)

    def path(self, kind: str) -> str:
        """The path of a read; bills are listed newest first, and a deep page has old ones."""
        one, old = map(self._message_id, (self.bills // 2, self.bills // 10 + BILLS_A_USER))
        return {
            FIRST: "/api/billing",
            DEEP: f"/api/billing?after={old}",
            USER: f"/api/billing?user_id=usr_{self.bills // BILLS_A_USER // 2}",
            ONE: f"/api/billing/{one}",
        }[kind]


def measure(environment: Environment) -> Result:
    """Measure reads one after another, and one consumer that records bills that wait."""
    sizes = environment.sizes.many_bills
    environment.settle()
    environment.stack.process_manager.call("stop", "billing-consumer")
    try:
        with ExitStack() as stack:
            candidates = [
                candidate
                for bills in sizes
                for candidate in _candidates(Bills(environment, bills), stack)
            ]
            order = (*READS, RECORD)
            candidates.sort(key=lambda candidate: order.index(candidate.name.split(", ")[0]))
            figures = interleaved(environment.stack, candidates, environment.sizes.rounds)
    finally:
        environment.stack.process_manager.call("start", "billing-consumer")
    found = [*growth.times(READS, sizes, figures), growth.rates(RECORD, sizes, figures)]
    lines = growth.plot("growth-bills-time", TITLE, "bills", READS, sizes, figures)
    return Result("growth-bills", TITLE, figures, found, plots=[lines])


def _candidates(bills: Bills, stack: ExitStack) -> Iterator[Candidate]:
    bills.make()
    name = f"billing-api with {bills.bills:,}"
    address = stack.enter_context(
        servers.of_service(bills.environment, SERVICE, name, bills.variables)
    )
    for kind in READS:
        path = bills.path(kind)
        requests.get(f"{address}{path}", timeout=30).raise_for_status()
        what = f"billing-api, GET {path}, {bills.bills:,} bills; wrk -c1"
        run = partial(_read, bills.environment, address, path)
        yield Candidate(growth.name(kind, bills.bills), what, run)
    yield _recording(bills)


def _read(environment: Environment, address: str, path: str) -> Sample:
    return wrk.load(address, wrk.Request(path), 1, environment.sizes.page_seconds).sample()


def _recording(bills: Bills) -> Candidate:
    count = bills.environment.sizes.drained // 10
    consumer = Program(bills.environment, f"billing-consumer with {bills.bills:,}")
    turn = drain.Drain(
        bills.environment,
        count,
        drain.OURS,
        [consumer],
        [sys.executable, "-m", SERVICE, "consume"],
        bills.database,
        bills.bills,
    )

    @contextmanager
    def around() -> Iterator[None]:
        with turn.around():
            yield
        bills.query("DELETE FROM orders WHERE id > %s", bills.bills)
        bills.query("TRUNCATE outbox")

    what = f"one billing-consumer, {count:,} bills that wait, {bills.bills:,} recorded before"
    return Candidate(growth.name(RECORD, bills.bills), what, turn.run, around)
