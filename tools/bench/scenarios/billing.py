"""Posting bills, until they are recorded."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from tools.bench import servers, wrk
from tools.bench.environment import Stage
from tools.bench.figures import Figure, Ratio, Row, Sample, at_least, at_most, ratio
from tools.bench.measure import Rival, interleaved
from tools.stack.servers.amqp import connect
from tools.stack.waiting import wait_until

TITLE = "POST /api/billing"
BILL = '{"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}'
REQUEST = wrk.Request("/api/billing", body=BILL)
GATEWAY, NAIVE, LIMIT = "gateway", "naive gateway", "broker's own limit"
LIMIT_QUEUE = "bench_limit"
WORDS = {
    GATEWAY: "persistent, confirmed before the answer; billing-consumer records",
    NAIVE: "flask run, a BlockingConnection for each request, no confirms, transient; "
    "the same billing-consumer records",
    LIMIT: "pika, persistent, up to 1000 unconfirmed, to a quorum queue that nobody consumes",
}


def measure(stage: Stage) -> Row:
    """Measure the gateway and its rivals at each number of clients."""
    with servers.naive_gateway(stage) as naive:
        addresses = {GATEWAY: stage.stack.url, NAIVE: naive}
        rivals = [
            Rival(
                _name(who, clients),
                _what(who, clients),
                _turn(stage, address, clients),
                lambda: emptied(stage),
            )
            for clients in stage.sizes.clients
            for who, address in addresses.items()
        ]
        rivals.append(_limit(stage))
        figures = interleaved(stage.stack, rivals, stage.sizes.rounds)
    return Row("billing", TITLE, figures, ratios(figures, stage.sizes.clients))


def ratios(figures: list[Figure], clients: tuple[int, ...]) -> list[Ratio]:
    """What was aimed at."""
    by_name = {figure.rival: figure for figure in figures}
    found: list[Ratio] = []
    for count in clients:
        ours, theirs = (by_name[_name(who, count)] for who in (GATEWAY, NAIVE))
        text = f"{GATEWAY} : {NAIVE}, {_clients(count)}"
        found.append(at_least(8, text, ours.rate, theirs.rate))
        found.append(at_most(1, f"{text}, p99", ours.median("p99"), theirs.median("p99")))
    best = max(by_name[_name(GATEWAY, count)].rate for count in clients)
    return [*found, ratio(f"{GATEWAY} at its best : {LIMIT}", best, by_name[LIMIT].rate)]


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"


def _name(who: str, clients: int) -> str:
    return f"{who}, {_clients(clients)}"


def _what(who: str, clients: int) -> str:
    return f"{WORDS[who]}; wrk -c{clients}"


def _turn(stage: Stage, address: str, clients: int) -> Callable[[], Sample]:
    def run() -> Sample:
        began = time.monotonic()
        answers = wrk.load(address, REQUEST, clients, stage.sizes.seconds)
        recorded = until_recorded(stage, answers.accepted)
        return answers.sample(done=recorded / (time.monotonic() - began))

    return run


@contextmanager
def emptied(stage: Stage) -> Iterator[None]:
    """Begin without a bill, and with nothing under way that an earlier turn has left."""
    stage.discard_bills()
    yield


def until_recorded(stage: Stage, accepted: int) -> int:
    """Wait until all accepted bills are recorded, or the queue is empty; return how many are."""

    def recorded() -> int:
        return int(stage.query("billing", "SELECT count(*) FROM orders")[0][0])

    def finished() -> bool:
        return recorded() >= accepted or not stage.waiting(stage.stack.rabbitmq.queue)

    wait_until(finished, 120, "the bills to be recorded")
    return recorded()


def _limit(stage: Stage) -> Rival:
    def run() -> Sample:
        words = ("-m", "tools.bench.baselines.window", LIMIT_QUEUE, str(stage.sizes.window))
        seconds = float(stage.run(*words))
        return Sample(stage.sizes.window / seconds)

    return Rival(LIMIT, WORDS[LIMIT], run, lambda: limit_queue(stage))


@contextmanager
def limit_queue(stage: Stage) -> Iterator[None]:
    """Have a queue of the kind of billing_queue, which nobody consumes."""
    with closing(connect(stage.stack.rabbitmq, heartbeat=0)) as connection:
        channel = connection.channel()
        channel.queue_declare(LIMIT_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        yield
        channel.queue_delete(LIMIT_QUEUE)
