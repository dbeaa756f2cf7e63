"""Lists and title searches over few and many movies."""

from collections.abc import Callable
from contextlib import ExitStack

import requests

from tools.bench import growth, movie_databases, wrk
from tools.bench.environment import Environment
from tools.bench.figures import Figure, Ratio, Result, Sample
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
    """Measure each kind of page over each number of movies."""
    return measure_over(environment, "pages", environment.sizes.movies)


def measure_growth(environment: Environment) -> Result:
    """Measure the same with many more movies."""
    return measure_over(environment, "growth-movies", environment.sizes.many_movies)


def measure_over(environment: Environment, name: str, sizes: tuple[int, ...]) -> Result:
    """Measure each kind of page over these numbers of movies, one request after another."""
    with ExitStack() as stack:
        candidates = []
        for movies in sizes:
            movie_databases.make(environment, movies)
            address = stack.enter_context(movie_databases.served(environment, movies))
            candidates += [_candidate(environment, address, kind, movies) for kind in KINDS]
        candidates.sort(key=lambda candidate: KINDS.index(candidate.name.split(", ")[0]))
        figures = interleaved(environment.stack, candidates, environment.sizes.rounds)
    lines = growth.plot(f"{name}-time", TITLE, "movies", KINDS, sizes, figures)
    return Result(name, TITLE, figures, ratios(figures, sizes), plots=[lines])


def ratios(figures: list[Figure], sizes: tuple[int, ...]) -> list[Ratio]:
    """The aim: the time of a page does not depend on the number of movies."""
    return growth.times(KINDS, sizes, figures)


def _candidate(environment: Environment, address: str, kind: str, movies: int) -> Candidate:
    asked = path(kind, movies)
    what = f"inventory-api, GET {asked}, {movies:,} movies; wrk -c1"
    return Candidate(growth.name(kind, movies), what, _turn(environment, address, asked))


def _turn(environment: Environment, address: str, asked: str) -> Callable[[], Sample]:
    requests.get(f"{address}{asked}", timeout=30).raise_for_status()
    request, seconds = wrk.Request(asked), environment.sizes.page_seconds
    return lambda: wrk.load(address, request, 1, seconds).sample()
