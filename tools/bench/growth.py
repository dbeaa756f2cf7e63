"""What grows: names, ratios and plots of what is measured over few and many rows."""

from collections.abc import Sequence

from tools.bench.figures import Figure, Plot, Ratio, Series, at_least, at_most

MOST_TIMES = 2
"""Over the most rows, nothing should take longer than this many times."""


def name(kind: str, rows: int) -> str:
    """The name of a candidate: what is done, and over how many rows."""
    return f"{kind}, {rows:,}"


def times(kinds: Sequence[str], sizes: Sequence[int], figures: Sequence[Figure]) -> list[Ratio]:
    """The aim: the median time does not depend on the number of rows."""
    time = {figure.candidate: figure.median("p50") for figure in figures}
    few, many = min(sizes), max(sizes)
    text = f"time at {many:,} : {few:,}"
    return [
        at_most(MOST_TIMES, f"{kind}, {text}", time[name(kind, many)], time[name(kind, few)])
        for kind in kinds
    ]


def rates(kind: str, sizes: Sequence[int], figures: Sequence[Figure]) -> Ratio:
    """The aim: a rate does not depend on the number of rows."""
    rate = {figure.candidate: figure.rate for figure in figures}
    few, many = min(sizes), max(sizes)
    text = f"{kind}, rate at {many:,} : {few:,}"
    return at_least(1 / MOST_TIMES, text, rate[name(kind, many)], rate[name(kind, few)])


def plot(
    file: str,
    title: str,
    what: str,
    kinds: Sequence[str],
    sizes: Sequence[int],
    figures: Sequence[Figure],
) -> Plot:
    """The median time of each kind over the number of rows."""
    time = {figure.candidate: figure.median("p50") or 0.0 for figure in figures}
    series = [Series(kind, [(rows, time[name(kind, rows)]) for rows in sizes]) for kind in kinds]
    return Plot(file, title, what, "milliseconds, median", series)
