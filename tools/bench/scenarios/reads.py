"""Reading one movie through the gateway."""

from collections.abc import Callable
from contextlib import ExitStack

import requests

from tools.bench import nginx, servers, wrk
from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample, at_least, ratio
from tools.bench.measure import Candidate, interleaved

TITLE = "GET /api/movies/{id}"
CLIENTS = 16
MOVIES = 1000
REQUEST = wrk.Request("/api/movies/{n}", ids=MOVIES)
GATEWAY, DIRECT, NGINX = "gateway", "inventory-api directly", "nginx"
NAIVE, PLAIN = "naive gateway", "Flask on granian"
WORDS = {
    GATEWAY: "the platform's gateway, before inventory-api",
    DIRECT: "the same upstream, without a gateway",
    NGINX: "nginx-light, proxy_pass with kept connections, to the same upstream",
    NAIVE: "flask run (development server), requests.get for each request, to the same upstream",
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
            PLAIN: stack.enter_context(servers.plain_flask(environment)),
        }
        candidates = [
            Candidate(name, _what(name), _turn(environment, a)) for name, a in addresses.items()
        ]
        figures = interleaved(environment.stack, candidates, environment.sizes.rounds)
    return Result("reads", TITLE, figures, ratios(figures))


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


def ratios(figures: list[Figure]) -> list[Ratio]:
    """The ratios with their aims."""
    rate = {figure.candidate: figure.rate for figure in figures}
    return [
        at_least(8, f"{GATEWAY} : {NAIVE}", rate[GATEWAY], rate[NAIVE]),
        at_least(0.5, f"{GATEWAY} : {PLAIN}", rate[GATEWAY], rate[PLAIN]),
        ratio(f"{GATEWAY} : {DIRECT}", rate[GATEWAY], rate[DIRECT]),
        ratio(f"{GATEWAY} : {NGINX}", rate[GATEWAY], rate[NGINX]),
    ]


def _what(name: str) -> str:
    return f"{WORDS[name]}; wrk -c{CLIENTS}"


def _turn(environment: Environment, address: str) -> Callable[[], Sample]:
    path = REQUEST.path.format(n=1)
    requests.get(f"{address}{path}", timeout=10).raise_for_status()
    # threads and connections are made when they are first needed
    wrk.load(address, REQUEST, CLIENTS, 1)
    return lambda: wrk.load(address, REQUEST, CLIENTS, environment.sizes.seconds).sample()
