"""Reading one movie through the gateway."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import requests

from tools.bench import nginx, servers, wrk
from tools.bench.environment import CACHED as CACHE_ON
from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample, at_least, at_most, ratio
from tools.bench.measure import Candidate, interleaved
from tools.stack.waiting import wait_until

TITLE = "GET /api/movies/{id}"
CLIENTS = 16
MOVIES = 1000
REQUEST = wrk.Request("/api/movies/{n}", ids=MOVIES)
GATEWAY, CACHED, DIRECT, NGINX = "gateway", "cached", "inventory-api directly", "nginx"
NAIVE, CHAIN, PLAIN = "naive gateway", "naive chain", "Flask on granian"
CACHE_STATUS, CACHE_SECONDS = "Cache-Status", 30.0
# CPU of a process a read through the gateway, in bare Flask requests
CPU_AIMS = {"gateway": 2.5, "inventory-api": 2.2, "PM2": 0.15}
WORDS = {
    GATEWAY: "the platform's gateway without its cache, before inventory-api",
    CACHED: "the platform's gateway with its cache, which holds all that is read",
    DIRECT: "the same upstream, without a gateway",
    NGINX: "nginx-light, proxy_pass with kept connections, to the same upstream",
    NAIVE: "flask run (development server), requests.get for each request, to the same upstream",
    CHAIN: "the same, before an inventory as tutorials write it: flask run, an ORM session for "
    "each request, on the same data",
    PLAIN: "granian with the gateway's options, a Flask route that answers at once, no upstream",
}


def measure(environment: Environment) -> Result:
    """Measure the gateway and its baselines."""
    fill(environment)
    with ExitStack() as stack:
        addresses = {
            GATEWAY: environment.stack.url,
            DIRECT: environment.upstream,
            NGINX: stack.enter_context(nginx.gateway(environment)),
            NAIVE: stack.enter_context(servers.naive_gateway(environment)),
            CHAIN: stack.enter_context(servers.naive_chain(environment)),
            PLAIN: stack.enter_context(servers.plain_flask(environment)),
        }
        for address in addresses.values():
            warm_up(address)
        candidates = [
            Candidate(name, _what(name), partial(_turn, environment, address))
            for name, address in addresses.items()
        ]
        if environment.has_cache:
            candidates.append(_cached(environment))
        figures = interleaved(environment.stack, candidates, environment.sizes.rounds)
    return Result("reads", TITLE, figures, ratios(figures), unit="read", bare=bare_request(figures))


def _cached(environment: Environment) -> Candidate:
    run = partial(_turn, environment, environment.stack.url)
    return Candidate(CACHED, _what(CACHED), run, partial(cache, environment))


@contextmanager
def cache(environment: Environment) -> Iterator[None]:
    """Turn the gateway's cache on for a turn, with all that will be read in it."""
    url = environment.stack.url
    with environment.gateway_with(**CACHE_ON):
        warm_up(url)
        with requests.Session() as session:
            wait_until(lambda: _is_cached(session, url), CACHE_SECONDS, "the gateway to cache")
            for number in range(1, MOVIES + 1):
                _read(session, url, number)
        yield
    warm_up(url)


def _is_cached(session: requests.Session, url: str) -> bool:
    return "; hit" in _read(session, url, 1).headers.get(CACHE_STATUS, "")


def _read(session: requests.Session, url: str, number: int) -> requests.Response:
    answer = session.get(f"{url}{REQUEST.path.format(n=number)}", timeout=10)
    answer.raise_for_status()
    return answer


def fill(environment: Environment) -> None:
    """Insert movies with the ids 1 to `MOVIES`."""
    environment.query(
        "inventory",
        "INSERT INTO movies (id, title, description) "
        "SELECT n, 'Movie ' || n, 'What it is about' FROM generate_series(1, %s) n "
        "ON CONFLICT DO NOTHING",
        MOVIES,
    )
    # movies without an explicit id get the next ones
    environment.query("inventory", "SELECT setval('movies_id_seq', max(id)) FROM movies")
    environment.query("inventory", "ANALYZE movies")


def bare_request(figures: Sequence[Figure]) -> float | None:
    """The CPU milliseconds of a bare Flask request."""
    return next(figure.cpu(PLAIN) for figure in figures if figure.candidate == PLAIN)


def ratios(figures: Sequence[Figure]) -> list[Ratio]:
    """The ratios with their aims."""
    by_name = {figure.candidate: figure for figure in figures}
    rate = {name: figure.rate for name, figure in by_name.items()}
    bare, cpu = bare_request(figures), by_name[GATEWAY].cpu
    words = "CPU of {} a read : bare Flask request"
    costs = [at_most(aim, words.format(name), cpu(name), bare) for name, aim in CPU_AIMS.items()]
    # a gateway without a cache has no such figure
    cached = [rate[CACHED]] if CACHED in rate else []
    return [
        *costs,
        at_least(4, f"{GATEWAY} : {NAIVE}", rate[GATEWAY], rate[NAIVE]),
        at_least(6, f"{GATEWAY} : {CHAIN}", rate[GATEWAY], rate[CHAIN]),
        *(at_least(12, f"{CACHED} : {CHAIN}", found, rate[CHAIN]) for found in cached),
        ratio(f"{GATEWAY} : {PLAIN}", rate[GATEWAY], rate[PLAIN]),
        ratio(f"{GATEWAY} : {DIRECT}", rate[GATEWAY], rate[DIRECT]),
        ratio(f"{GATEWAY} : {NGINX}", rate[GATEWAY], rate[NGINX]),
    ]


def _what(name: str) -> str:
    return f"{WORDS[name]}; wrk -c{CLIENTS}"


def warm_up(address: str) -> None:
    """Have a server make its threads and connections. Raises requests.RequestException."""
    with requests.Session() as session:
        _read(session, address, 1)
    wrk.load(address, REQUEST, CLIENTS, 1)


def _turn(environment: Environment, address: str) -> Sample:
    return wrk.load(address, REQUEST, CLIENTS, environment.sizes.seconds).sample()
