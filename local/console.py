"""What a person reads at the terminal: steps with elapsed time, and tables."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chassis.printable import escaped

Report = Callable[[str], None]
_lock = threading.Lock()


def say(text: str = "") -> None:
    """Write one line, whole even when several threads speak; what steers a terminal is spelled.

    Where the reader has gone (`./stack up | head`), the work goes on unread.
    """
    with _lock:
        try:
            sys.stdout.write(escaped(text) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def silent(_text: str = "") -> None:
    """Write nothing, where a caller wants no report."""


def table(rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """`rows` in columns as wide as their widest cell; a row may have fewer cells than another."""
    columns = max((len(row) for row in rows), default=0)
    widths = [max(len(row[i]) for row in rows if len(row) > i) for i in range(columns)]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=False)) for row in rows)
    return "\n".join((indent + line).rstrip() for line in lines)


def megabytes(size: int) -> str:
    """A size in bytes, for reading."""
    return f"{size / 1e6:.0f} MB"


class Outcome:
    """What a step did; it says `unchanged` until told otherwise."""

    text = "unchanged"


@contextmanager
def step(title: str, report: Report) -> Iterator[Outcome]:
    """Report `title`, the outcome that the body sets, and how long it took."""
    started, outcome = time.monotonic(), Outcome()
    yield outcome
    report(f"  {title:<28} {outcome.text:<24} {time.monotonic() - started:6.1f} s")
