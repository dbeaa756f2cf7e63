"""Posting movies, customers and orders."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import requests

from tools.bench import servers, wrk
from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample, ratio
from tools.bench.measure import Candidate, interleaved
from tools.bench.scenarios import reads
from tools.stack.waiting import wait_until

TITLE = "POST /api/movies, /api/customers, /api/orders"
CLIENTS = 16
MOVIES, CUSTOMERS, ORDERS = "movies", "customers", "orders"
LINES, STOCK = 3, 1_000_000_000
WORDS = {
    MOVIES: "POST /api/movies, with outbox and event",
    CUSTOMERS: "POST /api/customers, each with an email of its own, with outbox and event",
    ORDERS: f"POST /api/orders with {LINES} lines of the same products; done when completed, "
    "after stock.reserved and bill.recorded",
    reads.PLAIN: reads.WORDS[reads.PLAIN],
}


def measure(environment: Environment) -> Result:
    """Measure all three through the gateway."""
    turns: dict[str, Callable[[], Sample]] = {
        MOVIES: partial(_settled_post, environment, wrk.Request("/api/movies", body=_movie())),
        CUSTOMERS: partial(
            _settled_post, environment, wrk.Request("/api/customers", body=_customer())
        ),
        ORDERS: _orders(environment),
    }
    with servers.plain_flask(environment) as plain:
        reads.warm_up(plain)
        turns[reads.PLAIN] = lambda: wrk.load(
            plain, reads.REQUEST, CLIENTS, environment.sizes.seconds
        ).sample()
        candidates = [
            Candidate(n, f"{WORDS[n]}; wrk -c{CLIENTS}", run, around=partial(_settled, environment))
            for n, run in turns.items()
        ]
        figures = interleaved(environment.stack, candidates, environment.sizes.rounds)
    bare = reads.bare_request(figures)
    return Result("writes", TITLE, figures, ratios(figures), unit="request", bare=bare)


def ratios(figures: Sequence[Figure]) -> list[Ratio]:
    """The ratios; the last one allows for the machine's speed, to compare runs."""
    by_name = {figure.candidate: figure for figure in figures}
    completed, bare = by_name[ORDERS].median("done"), by_name[reads.PLAIN].rate
    return [
        ratio(f"{CUSTOMERS} : {MOVIES}", by_name[CUSTOMERS].rate, by_name[MOVIES].rate),
        ratio(f"{ORDERS} : {MOVIES}", by_name[ORDERS].rate, by_name[MOVIES].rate),
        ratio(f"{ORDERS} completed : 1,000 bare Flask requests", completed, bare / 1000),
    ]


@contextmanager
def _settled(environment: Environment) -> Iterator[None]:
    """Start when everything of the turn before is delivered."""
    environment.settle()
    yield


def _post(environment: Environment, request: wrk.Request) -> wrk.Answers:
    return wrk.load(environment.stack.url, request, CLIENTS, environment.sizes.seconds)


def _settled_post(environment: Environment, request: wrk.Request) -> Sample:
    sample = _post(environment, request).sample()
    # the CPU time of a write includes that of its event
    environment.settle()
    return sample


def _movie() -> str:
    return json.dumps({"title": "The Matrix {u}", "description": "What is it?"})


def _customer() -> str:
    return json.dumps({"name": "Benjamin", "email": "b{u}@kawa.fr", "company": "Kawa Corp"})


def order(environment: Environment) -> str:
    """Make products and return the body of an order of them."""
    items = [{"product_id": _product(environment, n), "quantity": 1} for n in range(LINES)]
    return json.dumps({"customer_id": 1, "items": items})


def _orders(environment: Environment) -> Callable[[], Sample]:
    body = order(environment)
    request = wrk.Request("/api/orders", body=body, token=environment.stack.variables["API_TOKEN"])

    def run() -> Sample:
        before, began = _completed(environment), time.monotonic()
        answers = _post(environment, request)
        wait_until(
            lambda: _completed(environment) >= before + answers.accepted,
            300,
            "the orders to complete",
        )
        sample = answers.sample(done=answers.accepted / (time.monotonic() - began))
        environment.settle()
        return sample

    return run


def _product(environment: Environment, number: int) -> int:
    body = {"name": f"product {number}", "price": 9.99, "stock": STOCK}
    answer = requests.post(f"{environment.stack.url}/api/products", json=body, timeout=10)
    answer.raise_for_status()
    made: int = answer.json()["id"]
    return made


def _completed(environment: Environment) -> int:
    query = "SELECT count(*) FROM orders WHERE status = 'completed'"
    return int(environment.query("orders", query)[0][0])
