"""The figures: samples of candidates, their medians, and ratios with their aims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from tools.bench.usage import GENERATOR, Usage


class Sample(NamedTuple):
    """One turn of one candidate: rates per second, times in milliseconds.

    `done` is the rate until what was accepted had its effect, where that comes later; `units` is
    how many requests, bills or orders the CPU time of the turn was spent on.
    """

    rate: float
    p50: float | None = None
    p99: float | None = None
    longest: float | None = None
    failed: int = 0
    done: float | None = None
    units: int = 0
    p999: float | None = None


@dataclass(frozen=True)
class Figure:
    """All turns of one candidate.

    Attributes:
        candidate: its name, short.
        what: what was run, in words.
        samples: one a turn, in their order.
        usage: of the processes, in all turns together.
    """

    candidate: str
    what: str
    samples: Sequence[Sample]
    usage: Usage

    def median(self, name: str) -> float | None:
        """The median of a field of the samples; None where there is none."""
        values = [value for s in self.samples if (value := getattr(s, name)) is not None]
        return float(median(values)) if values else None

    @property
    def rate(self) -> float:
        """The median of the rates per second."""
        return self.median("rate") or 0.0

    @property
    def failed(self) -> int:
        """How many requests failed, in all turns together."""
        return sum(sample.failed for sample in self.samples)

    @property
    def units(self) -> int:
        """How many units the CPU time was spent on, in all turns together."""
        return sum(sample.units for sample in self.samples)

    def cpu(self, process: str | None = None) -> float | None:
        """CPU milliseconds a unit, of one process or of all but the load generator.

        None if no units were counted, or if there is no such process.
        """
        used = {n: s for n, s in self.usage.cpu.items() if n != GENERATOR}
        if not self.units or (process is not None and process not in used):
            return None
        return 1000 * (sum(used.values()) if process is None else used[process]) / self.units


class Ratio(NamedTuple):
    """A ratio of two medians, and its aim, if any: "≥ 4" has the `bound` 4."""

    text: str
    value: float
    aim: str = ""
    met: bool | None = None
    bound: float | None = None


def ratio(text: str, over: float | None, under: float | None) -> Ratio:
    """A ratio without an aim; a missing value counts as zero, and so does a ratio to zero."""
    return Ratio(text, _divided(over, under))


def at_least(bound: float, text: str, over: float | None, under: float | None) -> Ratio:
    """A ratio that should be `bound` or more."""
    value = _divided(over, under)
    return Ratio(text, value, f"≥ {bound:g}", value >= bound, bound)


def at_most(bound: float, text: str, over: float | None, under: float | None) -> Ratio:
    """A ratio that should be `bound` or less; one that was not measured does not meet it."""
    value = _divided(over, under)
    return Ratio(text, value, f"≤ {bound:g}", 0 < value <= bound, bound)


def _divided(over: float | None, under: float | None) -> float:
    return (over or 0.0) / under if under else 0.0


class Series(NamedTuple):
    """The points of one candidate in a plot."""

    name: str
    points: Sequence[tuple[float, float]]


class Plot(NamedTuple):
    """A plot of lines over two logarithmic axes.

    Attributes:
        name: the file's, without suffix.
        title: what is shown.
        x, y: what the axes show, with the unit.
        series: a line each.
    """

    name: str
    title: str
    x: str
    y: str
    series: Sequence[Series]


@dataclass(frozen=True)
class Result:
    """The result of one scenario.

    Attributes:
        name: what `./stack bench NAME` calls it.
        title: what is measured.
        figures: of each candidate; the others are compared with the first.
        unit: what the figures count; CPU time is then shown for one of them, by process.
        bare: the CPU milliseconds of a request that does nothing, from the same run.
        held: whether the rates were set from outside, so that comparing them says nothing.
        plots: lines over what grows; bars of the ratios follow from these.
        ratios: of these figures.
        facts: other measurements by name, in words.
        load: the machine's load average over a minute when the scenario started.
    """

    name: str
    title: str
    figures: Sequence[Figure] = ()
    ratios: Sequence[Ratio] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    load: float = 0.0
    unit: str = ""
    bare: float | None = None
    held: bool = False
    plots: Sequence[Plot] = ()
