"""Pictures of a result, as SVG: bars of what has an aim, and lines over what grows.

Own template: pygal and matplotlib can't follow a reader's dark mode, and need scripts or many
dependencies for two kinds of pictures. A picture is as wide as a phone; its own <style> has its
colours for light and dark, and a background, since a page's theme may be another than the system's.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tools.bench.figures import Plot, Ratio, Result, Series

TEMPLATES = Path(__file__).with_name("templates")
WIDTH, MARGIN = 400, 12
# bars: the aim's line, and the longest bar, which is cut, in aims
AIM_AT, LONGEST = 150.0, 2.4
# lines: the plotted area
LEFT, RIGHT, TOP, HEIGHT = 52.0, 384.0, 40.0, 230.0
STEPS = (1, 2, 5)


class Picture(NamedTuple):
    """A picture: its title, its path from the page, and its content."""

    title: str
    link: str
    svg: str


def pictures(result: Result, directory: str) -> list[Picture]:
    """The pictures of a result, which go to a directory beside the page."""
    return list(_pictures(result, directory))


def _pictures(result: Result, directory: str) -> Iterator[Picture]:
    aimed = [found for found in result.ratios if found.bound]
    if aimed:
        title = f"{result.name}: what was measured, and its aim"
        yield Picture(title, f"{directory}/{result.name}.svg", bars(title, aimed))
    for plot in result.plots:
        yield Picture(plot.title, f"{directory}/{plot.name}.svg", lines(plot))


def bars(title: str, ratios: Sequence[Ratio]) -> str:
    """A bar for each ratio in units of its aim, so that all aims are one line."""
    shown = [
        {
            "text": found.text,
            "said": f"{_said(found.value)}, aim {found.aim}: {'met' if found.met else 'not met'}",
            "width": _round(AIM_AT * min(found.value / (found.bound or 1.0), LONGEST)),
            "kind": "met" if found.met else "missed",
        }
        for found in ratios
    ]
    return _render("bars.svg.jinja", title=title, bars=shown, width=WIDTH, aim=AIM_AT + MARGIN)


def lines(plot: Plot) -> str:
    """A line for each series, over two logarithmic axes."""
    points = [point for series in plot.series for point in series.points]
    across = Axis([x for x, _ in points], LEFT, RIGHT)
    up = Axis([y for _, y in points], TOP + HEIGHT, TOP)
    groups = list(dict.fromkeys(_group(series) for series in plot.series))
    kinds = list(dict.fromkeys(_kind(series) for series in plot.series))
    shown = [
        {
            "name": series.name,
            "colour": groups.index(_group(series)),
            "dash": kinds.index(_kind(series)),
            "points": [(_round(across.at(x)), _round(up.at(y))) for x, y in series.points],
        }
        for series in plot.series
    ]
    axes = {"across": across.ticks(), "up": up.ticks()}
    area = {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": TOP + HEIGHT}
    return _render("lines.svg.jinja", plot=plot, lines=shown, width=WIDTH, area=area, **axes)


def _group(series: Series) -> str:
    """What lines of one colour have in common: "gateway" of "gateway, p99"."""
    return series.name.partition(", ")[0]


def _kind(series: Series) -> str:
    """What lines of one dash have in common: "p99" of "gateway, p99"."""
    return series.name.partition(", ")[2]


class Axis:
    """A logarithmic axis that spans values, from one position to another."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        seen = [value for value in values if value > 0] or [1.0]
        self._low, self._high = _below(min(seen)), _above(max(seen))
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        """The position of a value; one that has no logarithm is at the beginning."""
        share = math.log(max(value, self._low) / self._low) / math.log(self._high / self._low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> list[tuple[float, str]]:
        """The positions and labels of round values: as many as fit."""
        marked = list(takewhile(lambda v: v <= self._high * 1.001, _round_values(self._low)))
        sparse = [v for v in marked if math.isclose(math.log10(v), round(math.log10(v)))]
        chosen = marked if len(marked) <= 7 or len(sparse) < 3 else sparse
        return [(_round(self.at(value)), _label(value)) for value in chosen]


def _round_values(first: float) -> Iterator[float]:
    """1, 2, 5, 10, 20 … from a value on."""
    power = math.floor(math.log10(first) + 1e-9)
    while True:
        yield from (v for s in STEPS if (v := s * 10.0**power) >= first * 0.999)
        power += 1


def _below(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return max(s * power for s in STEPS if s * power <= value * 1.001)


def _above(value: float) -> float:
    """The next round value, greater than `value` so that an axis is never empty."""
    return next(v for v in _round_values(_below(value)) if v > value * 1.001)


def _label(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _said(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _round(value: float) -> float:
    return round(value, 1)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values) + "\n"
