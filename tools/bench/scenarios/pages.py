"""Lists and title searches over few and many movies."""

from collections.abc import Callable
from contextlib import ExitStack

import requests

from tools.bench import movie_databases, wrk
from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample, at_most
from tools.bench.measure import Candidate, interleaved
from tools.bench.movie_databases import COMMON, RARE

TITLE = "GET /api/movies: pages and title searches as movies become more"
FIRST, DEEP = "first page", "deep page"
RARE_WORD, COMMON_WORD = "rare word", "common word"
KINDS = (FIRST, DEEP, RARE_WORD, COMMON_WORD)


def path(kind: str, movies: int) -> str:
    """The path of a page of at most 100 movies."""
    return {
        FIRST: "/api/movies",
        DEEP: f"/api/movies?after={movies * 9 // 10 - 100}",
        RARE_WORD: f"/api/movies?title={RARE}",
        COMMON_WORD: f"/api/movies?title={COMMON}",
    }[kind]


def measure(environment: Environment) -> Result:
    """Measure each kind of page over each number of movies, one request after another."""
    with ExitStack() as stack:
        candidates = []
        for movies in environment.sizes.movies:
            movie_databases.make(environment, movies)
            address = stack.enter_context(movie_databases.served(environment, movies))
            candidates += [_candidate(environment, address, kind, movies) for kind in KINDS]
        candidates.sort(key=lambda candidate: KINDS.index(candidate.name.split(", ")[0]))
        figures = interleaved(environment.stack, candidates, environment.sizes.rounds)
    return Result("pages", TITLE, figures, ratios(figures, environment.sizes.movies))


def ratios(figures: list[Figure], sizes: tuple[int, ...]) -> list[Ratio]:
    """The aim: the time of a page does not depend on the number of movies."""
    time = {figure.candidate: figure.median("p50") for figure in figures}
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


def _candidate(environment: Environment, address: str, kind: str, movies: int) -> Candidate:
    asked = path(kind, movies)
    what = f"inventory-api, GET {asked}, {movies:,} movies; wrk -c1"
    return Candidate(_name(kind, movies), what, _turn(environment, address, asked))


def _turn(environment: Environment, address: str, asked: str) -> Callable[[], Sample]:
    requests.get(f"{address}{asked}", timeout=30).raise_for_status()
    request, seconds = wrk.Request(asked), environment.sizes.page_seconds
    return lambda: wrk.load(address, request, 1, seconds).sample()
