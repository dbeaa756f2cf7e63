"""Reads, bills, writes and orders together, at a held rate."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tools.bench import open_loop
from tools.bench.environment import Environment
from tools.bench.figures import Figure, Result, Sample
from tools.bench.measure import Candidate, interleaved
from tools.bench.open_loop import Answers, Message
from tools.bench.scenarios import billing, reads, writes
from tools.bench.usage import Usage

TITLE = "Reads, bills, writes and orders together, at a held rate"
ALL, CACHED = "all", "all, with the cache"
READ, BILL, WRITE, ORDER = "reads", "bills", "writes", "orders"
SHARES = {READ: 80, BILL: 10, WRITE: 5, ORDER: 5}
KINDS = {
    READ: "GET /api/movies/{id}",
    BILL: "POST /api/billing",
    WRITE: "PUT /api/movies/{id}, of the movies that are read",
    ORDER: f"POST /api/orders with {writes.LINES} lines",
}
NOTHING = Usage({}, {}, 0.0)
Around = Callable[[], AbstractContextManager[object]]


class Requests:
    """Makes the requests of the mix; the same number makes the same one in every turn."""

    def __init__(self, token: str, order: str) -> None:
        self._token = token
        self._order = order

    def __call__(self, number: int) -> Message:
        """The request of this number."""
        rng = random.Random(number)
        [kind] = rng.choices(list(SHARES), list(SHARES.values()))
        movie = f"/api/movies/{rng.randint(1, reads.MOVIES)}"
        method, path, body = {
            READ: ("GET", movie, ""),
            BILL: ("POST", "/api/billing", billing.BILL),
            WRITE: ("PUT", movie, json.dumps({"title": f"Movie {number}", "description": "What"})),
            ORDER: ("POST", "/api/orders", self._order),
        }[kind]
        return Message(kind, open_loop.request(method, path, body, self._token))


def measure(environment: Environment) -> Result:
    """Measure the mix, without and with the gateway's cache."""
    reads.fill(environment)
    make = Requests(environment.stack.variables["API_TOKEN"], writes.order(environment))
    around: dict[str, Around] = {ALL: partial(_settled, environment)}
    if environment.has_cache:
        around[CACHED] = partial(reads.cache, environment)
    turns: dict[str, list[Answers]] = {name: [] for name in around}
    candidates = [
        Candidate(
            name, _what(environment, name), partial(_turn, environment, make, turns[name]), context
        )
        for name, context in around.items()
    ]
    whole = interleaved(environment.stack, candidates, environment.sizes.rounds)
    parts = [part for name in around for part in _parts(name, turns[name])]
    return Result("mix", TITLE, [*whole, *parts], unit="request", held=True)


@contextmanager
def _settled(environment: Environment) -> Iterator[None]:
    environment.settle()
    yield


def _turn(environment: Environment, make: Requests, turns: list[Answers]) -> Sample:
    sizes = environment.sizes
    answers = open_loop.load(environment.stack.url, make, sizes.mix_rate, sizes.mix_seconds)
    turns.append(answers)
    environment.settle()
    return answers.sample()


def _what(environment: Environment, name: str) -> str:
    shares = ", ".join(f"{share} % {kind}" for kind, share in SHARES.items())
    rate = f"{environment.sizes.mix_rate:g} requests a second, each sent when it is due"
    return f"{shares}; {rate}; {'with' if name == CACHED else 'without'} the gateway's cache"


def _parts(name: str, turns: list[Answers]) -> list[Figure]:
    """The figures of each kind of requests; the CPU time can't be told apart."""
    ending = name.removeprefix(ALL)
    return [
        Figure(f"{kind}{ending}", what, [answers.sample(kind) for answers in turns], NOTHING)
        for kind, what in KINDS.items()
    ]
