"""Lists and title searches, over few and over many movies."""

from collections.abc import Callable
from contextlib import ExitStack

import requests

from tools.bench import catalogue, wrk
from tools.bench.catalogue import COMMON, RARE
from tools.bench.environment import Stage
from tools.bench.figures import Figure, Ratio, Row, Sample, at_most
from tools.bench.measure import Rival, interleaved

TITLE = "GET /api/movies: pages and title searches as movies become more"
FIRST, DEEP = "first page", "deep page"
RARE_WORD, COMMON_WORD = "rare word", "common word"
KINDS = (FIRST, DEEP, RARE_WORD, COMMON_WORD)


def path(kind: str, movies: int) -> str:
    """What is asked for: 100 movies, or as many as there are."""
    return {
        FIRST: "/api/movies",
        DEEP: f"/api/movies?after={movies * 9 // 10 - 100}",
        RARE_WORD: f"/api/movies?title={RARE}",
        COMMON_WORD: f"/api/movies?title={COMMON}",
    }[kind]


def measure(stage: Stage) -> Row:
    """Measure each kind of page over each number of movies, one request after another."""
    with ExitStack() as stack:
        rivals = []
        for movies in stage.sizes.movies:
            catalogue.make(stage, movies)
            address = stack.enter_context(catalogue.served(stage, movies))
            rivals += [_rival(stage, address, kind, movies) for kind in KINDS]
        rivals.sort(key=lambda rival: KINDS.index(rival.name.split(", ")[0]))
        figures = interleaved(stage.stack, rivals, stage.sizes.rounds)
    return Row("pages", TITLE, figures, ratios(figures, stage.sizes.movies))


def ratios(figures: list[Figure], sizes: tuple[int, ...]) -> list[Ratio]:
    """What was aimed at: that the time of a page does not depend on how many movies there are."""
    time = {figure.rival: figure.median("p50") for figure in figures}
    few, many = min(sizes), max(sizes)
    return [
        at_most(
            2,
            f"{kind}, time at {many:,} : {few:,}",
            time[_name(kind, many)],
            time[_name(kind, few)],
        )
        for kind in KINDS
    ]


def _name(kind: str, movies: int) -> str:
    return f"{kind}, {movies:,}"


def _rival(stage: Stage, address: str, kind: str, movies: int) -> Rival:
    asked = path(kind, movies)
    what = f"inventory-api, GET {asked}, {movies:,} movies; wrk -c1"
    return Rival(_name(kind, movies), what, _turn(stage, address, asked))


def _turn(stage: Stage, address: str, asked: str) -> Callable[[], Sample]:
    requests.get(f"{address}{asked}", timeout=30).raise_for_status()
    request, seconds = wrk.Request(asked), stage.sizes.page_seconds
    return lambda: wrk.load(address, request, 1, seconds).sample()
