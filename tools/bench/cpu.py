"""CPU time by process of one request, bill or order, as tables."""

from collections.abc import Iterator, Sequence

from tools.bench.figures import Figure, Result

LEAST_SHARE = 0.01
"""The share of a candidate's CPU time below which a process is not listed."""
ALL = "all of these"
Cells = list[tuple[str, ...]]


def tables(result: Result) -> Iterator[Cells]:
    """The tables of a result: in milliseconds, and in bare requests where one was measured."""
    figures = [figure for figure in result.figures if figure.units and figure.usage.cpu]
    if not result.unit or not figures:
        return
    yield _table(f"CPU ms a {result.unit}", figures, 1.0)
    if result.bare:
        yield _table(f"CPU a {result.unit}, bare Flask request = 1", figures, result.bare)


def _table(head: str, figures: Sequence[Figure], unit: float) -> Cells:
    lines = [
        (name, *(_cell(figure.cpu(name), unit) for figure in figures)) for name in _shown(figures)
    ]
    total = (ALL, *(_cell(figure.cpu(), unit) for figure in figures))
    return [(head, *(figure.candidate for figure in figures)), *lines, total]


def _shown(figures: Sequence[Figure]) -> list[str]:
    """The processes that used a noticeable share for any candidate, the busiest first."""
    shares: dict[str, float] = {}
    for figure in figures:
        for name in figure.usage.cpu:
            share = (figure.cpu(name) or 0.0) / (figure.cpu() or 1.0)
            shares[name] = max(share, shares.get(name, 0.0))
    listed = [name for name in shares if shares[name] > LEAST_SHARE]
    return sorted(listed, key=lambda name: -shares[name])


def _cell(milliseconds: float | None, unit: float) -> str:
    shown = "" if milliseconds is None else f"{milliseconds / unit:.2f}"
    return "" if shown == "0.00" else shown
