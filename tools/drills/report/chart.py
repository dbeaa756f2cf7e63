"""The time line of a drill: accepted, recorded, waiting in queues, and the fault as a band.

This module computes the positions; page.html draws them as SVG.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tools.drills.report.result import Result, Sample

WIDTH, LEFT, RIGHT = 920, 60, 16
# above: accepted and recorded; below: queues
UPPER, LOWER, GAP = 180, 80, 30
TOP, BOTTOM = 24, 34
HEIGHT = TOP + UPPER + GAP + LOWER + BOTTOM
TICKS = 6
STEPS = (1, 2, 5)
Value = Callable[[Sample], int | None]


class Scale:
    """Maps seconds and counts to positions in the picture."""

    def __init__(self, seconds: float, most: int, top: float, height: float) -> None:
        self.most = rounded_up(max(most, 1))
        self._seconds = max(seconds, 1.0)
        self._top = top
        self._height = height

    def x(self, second: float) -> float:
        """The position of a second."""
        return LEFT + min(second / self._seconds, 1) * (WIDTH - LEFT - RIGHT)

    def y(self, count: float) -> float:
        """The position of a count."""
        return self._top + self._height * (1 - count / self.most)


@dataclass(frozen=True)
class Axis:
    """An axis of counts: the middle of its label, and its lowest and highest count."""

    label: str
    middle: float
    counts: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Picture:
    """The positions of everything in the picture of one drill, in units of the picture.

    Attributes:
        band: start and width of the fault.
        marks: the actions: position, second, and words.
        seconds: labels of the time axis: their places, and seconds.
        lines: names, and paths in the notation of SVG.
    """

    band: tuple[float, float]
    marks: Sequence[tuple[float, float, str]]
    axes: Sequence[Axis]
    seconds: Sequence[tuple[float, int]]
    lines: Sequence[tuple[str, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def picture(result: Result) -> Picture:
    """Lay out one drill."""
    samples = result.samples
    end = max([sample.second for sample in samples], default=1.0)
    upper = Scale(end, max((s.accepted for s in samples), default=1), TOP, UPPER)
    waiting = max((s.waiting or 0 for s in samples), default=1)
    lower = Scale(end, waiting, TOP + UPPER + GAP, LOWER)
    start, stop = (upper.x(second) for second in result.band)
    return Picture(
        band=(start, max(stop - start, 1)),
        marks=[(upper.x(second), second, words) for second, words in result.marks],
        axes=[_axis(upper, "requests"), _axis(lower, "in queues")],
        seconds=list(_seconds(end, upper)),
        lines=[
            ("accepted", line(samples, lambda s: s.accepted, upper)),
            ("recorded", line(samples, lambda s: s.recorded, upper)),
            ("waiting", line(samples, lambda s: s.waiting, lower)),
        ],
    )


def rounded_up(most: int) -> int:
    """The next 1, 2 or 5 times a power of ten."""
    power = int("1" + "0" * (len(str(most)) - 1))
    return next(step * power for step in (*STEPS, 10) if step * power >= most)


def line(samples: Sequence[Sample], value: Value, scale: Scale) -> str:
    """A path with gaps where the value could not be read."""
    path, pen_down = "", False
    for sample in samples:
        count = value(sample)
        if count is not None:
            path += f"{'L' if pen_down else 'M'}{scale.x(sample.second):.1f} {scale.y(count):.1f}"
        pen_down = count is not None
    return path or "M0 0"


def _axis(scale: Scale, label: str) -> Axis:
    counts = [(count, scale.y(count)) for count in (0, scale.most)]
    return Axis(label, (scale.y(0) + scale.y(scale.most)) / 2, counts)


def _seconds(end: float, scale: Scale) -> Iterator[tuple[float, int]]:
    step = rounded_up(max(int(end / TICKS), 1))
    return ((scale.x(second), second) for second in range(0, int(end) + 1, step))
