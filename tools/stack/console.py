"""What a person reads at the terminal: steps with elapsed time, tables, colours."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import click

from chassis.columns import aligned, plain
from chassis.printable import escaped, escaped_line
from tools.stack.progress import PROGRESS, is_terminal

Report = Callable[[str], None]
Paint = Callable[[str, int], str]
GOOD = ("online", "up", "yes", "good")
BAD = ("down", "stopped", "errored", "no", "not started", "dead", "FAILED")
DOUBTFUL = ("unknown", "up, but", "launching", "waiting")


def say(text: str = "") -> None:
    """Write one line, whole even when several threads speak; what steers a terminal is spelled.

    Where the reader has gone (`./stack up | head`), the work goes on unread.
    """
    show(escaped(text))


def show(text: str) -> None:
    """Write a line as `say` does, of which the caller has escaped what is from outside."""
    with PROGRESS.hidden():
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def silent(_text: str = "") -> None:
    """Write nothing, where a caller wants no report."""


def is_coloured(stream: TextIO) -> bool:
    """Whether a stream may have colours: a terminal, unless NO_COLOR is set (no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def coloured(text: str, colour: str) -> str:
    """`text` in a colour, where standard output may have any."""
    return click.style(text, fg=colour) if is_coloured(sys.stdout) else text


def state(cell: str, row: int) -> str:
    """A cell below a heading: green if it says that all is well, red if not, yellow if in doubt."""
    if row == 0:
        return cell
    if cell in GOOD:
        return coloured(cell, "green")
    if cell in BAD:
        return coloured(cell, "red")
    return coloured(cell, "yellow") if cell.startswith(DOUBTFUL) else cell


def table(rows: Sequence[Sequence[str]], paint: Paint = plain) -> str:
    """`rows` in columns, a little indented; with colours it is for `show`, else for `say`, too."""
    return aligned([[escaped_line(cell) for cell in row] for row in rows], "  ", paint)


def megabytes(size: int) -> str:
    """A size in bytes, for reading."""
    return f"{size / 1e6:.0f} MB"


class Outcome:
    """What a step did; `unchanged` by default."""

    text = "unchanged"


@contextmanager
def step(title: str, report: Report) -> Iterator[Outcome]:
    """Report `title`, the outcome that the body sets, and how long it took.

    Meanwhile it is among what the terminal's last line says goes on, unless nobody wants a report.
    """
    outcome = Outcome()
    with PROGRESS.of(title, is_shown=report is not silent) as elapsed:
        yield outcome
    report(f"  {title:<28} {outcome.text:<24} {elapsed():6.1f} s")
