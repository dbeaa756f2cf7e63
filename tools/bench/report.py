"""The figures as tables, for the terminal and in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.bench import cpu
from tools.bench.document import Run
from tools.bench.figures import Figure, Ratio, Result
from tools.stack.console import table

HEAD = (
    *("rival", "per s", "p50 ms", "p99 ms", "p99.9 ms", "max ms"),
    *("done per s", "failed", "of the first"),
)
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
LEAST_CPU = 0.01  # the share of all CPU seconds below which a process is not listed


def text(result: Result) -> str:
    """A result for the terminal."""
    parts = [f"{result.name}: {result.title} (load average {result.load:.2f})"]
    if result.figures:
        parts += [table(cells(result.figures)), _listed(result.figures)]
        parts += map(table, cpu.tables(result))
    if result.ratios:
        parts.append(table([("ratio", "", "aim", ""), *map(_ratio_cells, result.ratios)]))
    if result.facts:
        parts.append(table(list(result.facts.items())))
    return "\n\n".join(parts)


def cells(figures: Sequence[Figure]) -> cpu.Cells:
    """Head and lines of a table of medians, without empty columns."""
    lines = [HEAD, *(_cells(figure, figures[0]) for figure in figures)]
    filled = [i for i in range(len(HEAD)) if any(line[i] for line in lines[1:])]
    return [tuple(line[i] for i in filled) for line in lines]


def _cells(figure: Figure, first: Figure) -> tuple[str, ...]:
    names = ("p50", "p99", "p999", "longest")
    times = [number(figure.median(name)) for name in names]
    share = f"{figure.rate / first.rate:.2f}" if first.rate else ""
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


def _listed(figures: Sequence[Figure]) -> str:
    return "\n".join(f"  {f.candidate}: {f.what}\n    {used(f)}" for f in figures)


def used(figure: Figure) -> str:
    """The CPU seconds and memory of the processes that used a noticeable share."""
    whole = sum(figure.usage.cpu.values())
    by_cpu = sorted(figure.usage.cpu.items(), key=lambda item: -item[1])
    shown = [_share(n, s, figure.usage.memory) for n, s in by_cpu if s > LEAST_CPU * whole]
    others = f"; other programs {figure.usage.others:.2f} cores"
    return f"CPU s (MB): {', '.join(shown)}{others}"


def _share(name: str, seconds: float, memory: Mapping[str, int]) -> str:
    size = f" ({memory[name] / 1e6:.0f})" if name in memory else ""
    return f"{name} {seconds:.1f}{size}"


def markdown(result: Result) -> str:
    """A result as a section of a document."""
    parts = [f"### `{result.name}`: {result.title}", f"Load average before: {result.load:.2f}."]
    if result.figures:
        parts += [_markdown_table(cells(result.figures)), _markdown_list(result.figures)]
        parts += map(_markdown_table, cpu.tables(result))
    if result.ratios:
        lines = [_ratio_cells(found) for found in result.ratios]
        parts.append(_markdown_table([("ratio", "measured", "aim", ""), *lines]))
    if result.facts:
        parts.append(_markdown_table([("what", "measured"), *result.facts.items()]))
    return "\n\n".join(parts)


def _markdown_table(lines: cpu.Cells) -> str:
    head, *rest = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, f"|{' --- |' * len(lines[0])}", *rest])


def _markdown_list(figures: Sequence[Figure]) -> str:
    return "\n".join(f"- **{f.candidate}**: {f.what}. {used(f)}" for f in figures)


def document(run: Run) -> str:
    """A whole run in Markdown: on what, how quiet it was, and every result."""
    facts = {"time": run.time, **run.facts, "load average before": f"{run.load:.2f}"}
    table_of_facts = _markdown_table([("what", "value"), *facts.items()])
    return "\n\n".join([table_of_facts, *map(markdown, run.results)]) + "\n"


def put(file: Path, figures: str) -> None:
    """Write figures to a file: between its marks if it has them, else as its whole content."""
    old = file.read_text() if file.exists() else ""
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    file.write_text(f"{before}{begin}\n{figures}\n{end}{after}" if end else figures)
