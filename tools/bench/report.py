"""A result as tables, for the terminal and in Markdown."""

from collections.abc import Iterator, Mapping, Sequence

from tools.bench import cpu
from tools.bench.figures import Figure, Ratio, Result
from tools.bench.pictures import Picture
from tools.stack.console import table

HEAD = (
    *("rival", "per s", "p50 ms", "p99 ms", "p99.9 ms", "max ms"),
    *("done per s", "failed", "of the first"),
)
LEAST_CPU = 0.01  # the share of all CPU seconds below which a process is not listed


def text(result: Result) -> str:
    """A result for the terminal."""
    parts = [f"{result.name}: {result.title} (load average {result.load:.2f})"]
    if result.figures:
        parts += [table(cells(result)), _listed(result)]
        parts += map(table, cpu.tables(result))
    if result.ratios:
        parts.append(table([("ratio", "", "aim", ""), *map(_ratio_cells, result.ratios)]))
    if result.facts:
        parts.append(table(list(result.facts.items())))
    return "\n\n".join(parts)


def cells(result: Result) -> cpu.Cells:
    """Head and lines of a table of medians, without empty columns."""
    lines = [HEAD, *(_cells(figure, result) for figure in result.figures)]
    filled = [i for i in range(len(HEAD)) if any(line[i] for line in lines[1:])]
    return [tuple(line[i] for i in filled) for line in lines]


def _cells(figure: Figure, result: Result) -> tuple[str, ...]:
    names = ("p50", "p99", "p999", "longest")
    times = [number(figure.median(name)) for name in names]
    first = 0.0 if result.held else result.figures[0].rate
    share = f"{figure.rate / first:.2f}" if first else ""
    done, failed = number(figure.median("done")), str(figure.failed) if figure.failed else ""
    return (figure.candidate, number(figure.rate), *times, done, failed, share)


def number(value: float | None) -> str:
    """A figure with three significant digits, or as a whole number from 100."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio_cells(found: Ratio) -> tuple[str, ...]:
    return (found.text, f"{found.value:.2f}", found.aim, verdict(found))


def verdict(found: Ratio) -> str:
    """Whether a ratio meets its aim; empty without an aim."""
    return {True: "met", False: "not met", None: ""}[found.met]


def _listed(result: Result) -> str:
    return "\n".join(f"  {name}: {what}\n    {use}" for name, what, use in _descriptions(result))


def _descriptions(result: Result) -> Iterator[tuple[str, str, str]]:
    """What each candidate is and used; one that was measured at many rates is described once."""
    seen: set[str] = set()
    for figure in result.figures:
        if not (result.held and figure.what in seen):
            yield figure.candidate, figure.what, used(figure)
        seen.add(figure.what)


def used(figure: Figure) -> str:
    """The CPU seconds and memory of the processes that used a noticeable share."""
    whole = sum(figure.usage.cpu.values())
    by_cpu = sorted(figure.usage.cpu.items(), key=lambda item: -item[1])
    if not by_cpu:
        return "part of the whole"
    shown = [_share(n, s, figure.usage.memory) for n, s in by_cpu if s > LEAST_CPU * whole]
    others = f"; other programs {figure.usage.others:.2f} cores"
    return f"CPU s (MB): {', '.join(shown)}{others}"


def _share(name: str, seconds: float, memory: Mapping[str, int]) -> str:
    size = f" ({memory[name] / 1e6:.0f})" if name in memory else ""
    return f"{name} {seconds:.1f}{size}"


def markdown(result: Result, pictures: Sequence[Picture] = (), about: str = "") -> str:
    """A result as a section of a document.

    Args:
        result: what is shown.
        pictures: come first.
        about: when and of what it was measured.
    """
    before = f"Load average before: {result.load:.2f}."
    parts = [f"### `{result.name}`: {result.title}", f"{about} {before}".strip()]
    parts += [f"![{picture.title}]({picture.link})" for picture in pictures]
    if result.figures:
        parts += [markdown_table(cells(result)), _markdown_list(result)]
        parts += map(markdown_table, cpu.tables(result))
    if result.ratios:
        lines = [_ratio_cells(found) for found in result.ratios]
        parts.append(markdown_table([("ratio", "measured", "aim", ""), *lines]))
    if result.facts:
        parts.append(markdown_table([("what", "measured"), *result.facts.items()]))
    return "\n\n".join(parts)


def markdown_table(lines: cpu.Cells) -> str:
    head, *rest = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, f"|{' --- |' * len(lines[0])}", *rest])


def _markdown_list(result: Result) -> str:
    return "\n".join(f"- **{name}**: {what}. {use}" for name, what, use in _descriptions(result))
