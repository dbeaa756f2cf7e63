"""A time line as SVG: accepted and recorded, what waits in queues, and the fault as a band."""

from collections.abc import Callable, Sequence
from html import escape

from local.drill.result import Result, Sample

WIDTH, LEFT, RIGHT = 920, 60, 16
# above: accepted and recorded; below: queues
UPPER, LOWER, GAP = 180, 80, 30
TOP, BOTTOM = 24, 34
HEIGHT = TOP + UPPER + GAP + LOWER + BOTTOM
TICKS = 6
STEPS = (1, 2, 5)
Value = Callable[[Sample], int | None]


class Scale:
    """From seconds and counts to places in the picture."""

    def __init__(self, seconds: float, most: int, top: float, height: float) -> None:
        self.most = rounded_up(max(most, 1))
        self._seconds = max(seconds, 1.0)
        self._top = top
        self._height = height

    def x(self, second: float) -> float:
        """Where a second is."""
        return LEFT + min(second / self._seconds, 1) * (WIDTH - LEFT - RIGHT)

    def y(self, count: float) -> float:
        """Where a count is."""
        return self._top + self._height * (1 - count / self.most)


def draw(result: Result) -> str:
    """The picture of one drill."""
    samples = result.samples
    end = max([sample.second for sample in samples], default=1.0)
    upper = Scale(end, max((s.accepted for s in samples), default=1), TOP, UPPER)
    waiting = max((s.waiting or 0 for s in samples), default=1)
    lower = Scale(end, waiting, TOP + UPPER + GAP, LOWER)
    parts = [_band(result, upper), *_marks(result, upper)]
    parts += [*_counts(upper, "requests"), *_counts(lower, "in queues"), *_seconds(end, upper)]
    parts += [_line(samples, lambda s: s.accepted, upper, "accepted")]
    parts += [_line(samples, lambda s: s.recorded, upper, "recorded")]
    parts += [_line(samples, lambda s: s.waiting, lower, "waiting")]
    title = f"{result.name}: accepted, recorded and waiting over time"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def rounded_up(most: int) -> int:
    """The next 1, 2 or 5 times a power of ten."""
    power = int("1" + "0" * (len(str(most)) - 1))
    return next(step * power for step in (*STEPS, 10) if step * power >= most)


def _band(result: Result, scale: Scale) -> str:
    start, end = (scale.x(second) for second in result.band)
    height = UPPER + GAP + LOWER
    return (
        f'<rect class="band" x="{start:.1f}" y="{TOP}" width="{max(end - start, 1):.1f}"'
        f' height="{height}"/><text class="small" x="{start + 4:.1f}" y="{TOP - 6}">fault</text>'
    )


def _marks(result: Result, scale: Scale) -> list[str]:
    bottom = TOP + UPPER + GAP + LOWER
    return [
        f'<line class="mark" x1="{scale.x(second):.1f}" x2="{scale.x(second):.1f}" y1="{TOP}"'
        f' y2="{bottom}"><title>{second:.1f} s: {escape(words)}</title></line>'
        for second, words in result.marks
    ]


def _counts(scale: Scale, what: str) -> list[str]:
    parts = []
    for count in (0, scale.most):
        y = scale.y(count)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="small" text-anchor="end" x="{LEFT - 6}" y="{y + 4:.1f}">{count}</text>'
        )
    middle = (scale.y(0) + scale.y(scale.most)) / 2
    turned = f'transform="rotate(-90 14 {middle:.1f})"'
    label = f'<text class="small" text-anchor="middle" x="14" y="{middle:.1f}" {turned}>{what}'
    return [*parts, f"{label}</text>"]


def _seconds(end: float, scale: Scale) -> list[str]:
    step = rounded_up(max(int(end / TICKS), 1))
    return [
        f'<text class="small" text-anchor="middle" x="{scale.x(second):.1f}"'
        f' y="{HEIGHT - 12}">{second} s</text>'
        for second in range(0, int(end) + 1, step)
    ]


def _line(samples: Sequence[Sample], value: Value, scale: Scale, name: str) -> str:
    """A line that is broken where nobody could say the value."""
    path, pen_down = "", False
    for sample in samples:
        count = value(sample)
        if count is not None:
            path += f"{'L' if pen_down else 'M'}{scale.x(sample.second):.1f} {scale.y(count):.1f}"
        pen_down = count is not None
    return f'<path class="{name}" d="{path or "M0 0"}"/>'
