"""Posting bills, until they are recorded."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from tools.bench import servers, wrk
from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample, at_least, at_most, ratio
from tools.bench.measure import Candidate, interleaved
from tools.stack.servers.amqp import connect
from tools.stack.waiting import wait_until

TITLE = "POST /api/billing"
BILL = '{"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}'
REQUEST = wrk.Request("/api/billing", body=BILL)
GATEWAY, NAIVE, LIMIT = "gateway", "naive gateway", "broker's own limit"
# how many times the naive gateway's rate, by the number of clients
AIMS = {1: 4, 16: 9, 64: 12}
LIMIT_QUEUE = "bench_limit"
WORDS = {
    GATEWAY: "persistent, confirmed before the answer; billing-consumer records",
    NAIVE: "flask run, a BlockingConnection for each request, no confirms, transient; "
    "the same billing-consumer records",
    LIMIT: "pika, persistent, up to 1000 unconfirmed, to a quorum queue that nobody consumes",
}


def measure(environment: Environment) -> Result:
    """Measure the gateway and its baselines at each number of clients."""
    with servers.naive_gateway(environment) as naive:
        addresses = {GATEWAY: environment.stack.url, NAIVE: naive}
        candidates = [
            Candidate(
                _name(who, clients),
                _what(who, clients),
                _turn(environment, address, clients),
                lambda: emptied(environment),
            )
            for clients in environment.sizes.clients
            for who, address in addresses.items()
        ]
        candidates.append(_limit(environment))
        figures = interleaved(environment.stack, candidates, environment.sizes.rounds)
    found = ratios(figures, environment.sizes.clients)
    return Result("billing", TITLE, figures, found, unit="bill")


def ratios(figures: list[Figure], clients: tuple[int, ...]) -> list[Ratio]:
    """The ratios with their aims."""
    by_name = {figure.candidate: figure for figure in figures}
    found: list[Ratio] = []
    for count in clients:
        ours, theirs = (by_name[_name(who, count)] for who in (GATEWAY, NAIVE))
        text = f"{GATEWAY} : {NAIVE}, {_clients(count)}"
        found.append(at_least(AIMS[count], text, ours.rate, theirs.rate))
        found.append(at_most(1, f"{text}, p99", ours.median("p99"), theirs.median("p99")))
    best = max(by_name[_name(GATEWAY, count)].rate for count in clients)
    return [*found, ratio(f"{GATEWAY} at its best : {LIMIT}", best, by_name[LIMIT].rate)]


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _name(who: str, clients: int) -> str:
    return f"{who}, {_clients(clients)}"


def _what(who: str, clients: int) -> str:
    return f"{WORDS[who]}; wrk -c{clients}"


def _turn(environment: Environment, address: str, clients: int) -> Callable[[], Sample]:
    def run() -> Sample:
        began = time.monotonic()
        answers = wrk.load(address, REQUEST, clients, environment.sizes.seconds)
        recorded = until_recorded(environment, answers.accepted)
        sample = answers.sample(done=recorded / (time.monotonic() - began))
        # a bill's CPU time includes that of its event
        environment.settle()
        return sample

    return run


@contextmanager
def emptied(environment: Environment) -> Iterator[None]:
    """Start without bills, and with nothing in flight from an earlier turn."""
    environment.discard_bills()
    yield


def until_recorded(environment: Environment, accepted: int) -> int:
    """Wait until all accepted bills are recorded, or the queue is empty; returns their number."""

    def recorded() -> int:
        return int(environment.query("billing", "SELECT count(*) FROM orders")[0][0])

    def finished() -> bool:
        return recorded() >= accepted or not environment.waiting(environment.stack.rabbitmq.queue)

    wait_until(finished, 120, "the bills to be recorded")
    return recorded()


def _limit(environment: Environment) -> Candidate:
    def run() -> Sample:
        words = ("-m", "tools.bench.baselines.window", LIMIT_QUEUE, str(environment.sizes.window))
        seconds = float(environment.run(*words))
        return Sample(environment.sizes.window / seconds)

    return Candidate(LIMIT, WORDS[LIMIT], run, lambda: limit_queue(environment))


@contextmanager
def limit_queue(environment: Environment) -> Iterator[None]:
    """Declare a queue like billing_queue that nobody consumes."""
    with closing(connect(environment.stack.rabbitmq, heartbeat=0)) as connection:
        channel = connection.channel()
        channel.queue_declare(LIMIT_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        yield
        channel.queue_delete(LIMIT_QUEUE)
