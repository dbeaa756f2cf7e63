"""Reading one movie through the gateway."""

from collections.abc import Callable
from contextlib import ExitStack

import requests

from tools.bench import nginx, servers, wrk
from tools.bench.environment import Stage
from tools.bench.figures import Figure, Ratio, Row, Sample, at_least, ratio
from tools.bench.measure import Rival, interleaved

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


def measure(stage: Stage) -> Row:
    """Measure the gateway and its rivals."""
    fill(stage)
    with ExitStack() as stack:
        addresses = {
            GATEWAY: stage.stack.url,
            DIRECT: stage.upstream,
            NGINX: stack.enter_context(nginx.gateway(stage)),
            NAIVE: stack.enter_context(servers.naive_gateway(stage)),
            PLAIN: stack.enter_context(servers.plain_flask(stage)),
        }
        rivals = [Rival(name, _what(name), _turn(stage, a)) for name, a in addresses.items()]
        figures = interleaved(stage.stack, rivals, stage.sizes.rounds)
    return Row("reads", TITLE, figures, ratios(figures))


def fill(stage: Stage) -> None:
    """Have movies with the ids 1 to `MOVIES`."""
    stage.query(
        "inventory",
        "INSERT INTO movies (id, title, description) "
        "SELECT n, 'Movie ' || n, 'What it is about' FROM generate_series(1, %s) n "
        "ON CONFLICT DO NOTHING",
        MOVIES,
    )
    # who is given no id gets one behind these
    stage.query("inventory", "SELECT setval('movies_id_seq', max(id)) FROM movies")
    stage.query("inventory", "ANALYZE movies")


def ratios(figures: list[Figure]) -> list[Ratio]:
    """What was aimed at."""
    rate = {figure.rival: figure.rate for figure in figures}
    return [
        at_least(8, f"{GATEWAY} : {NAIVE}", rate[GATEWAY], rate[NAIVE]),
        at_least(0.5, f"{GATEWAY} : {PLAIN}", rate[GATEWAY], rate[PLAIN]),
        ratio(f"{GATEWAY} : {DIRECT}", rate[GATEWAY], rate[DIRECT]),
        ratio(f"{GATEWAY} : {NGINX}", rate[GATEWAY], rate[NGINX]),
    ]


def _what(name: str) -> str:
    return f"{WORDS[name]}; wrk -c{CLIENTS}"


def _turn(stage: Stage, address: str) -> Callable[[], Sample]:
    path = REQUEST.path.format(n=1)
    requests.get(f"{address}{path}", timeout=10).raise_for_status()
    # threads and connections are made when they are first needed
    wrk.load(address, REQUEST, CLIENTS, 1)
    return lambda: wrk.load(address, REQUEST, CLIENTS, stage.sizes.seconds).sample()
