"""What a person reads at the terminal: steps with elapsed time, and tables."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chassis.columns import aligned
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


def table(rows: Sequence[Sequence[str]]) -> str:
    """`rows` in columns, a little indented."""
    return aligned(rows, indent="  ")


def megabytes(size: int) -> str:
    """A size in bytes, for reading."""
    return f"{size / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """How long something has lasted, for reading: `12 s`, `25 min`, `3 h 5 min`, `2 d 4 h`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left} h"
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min" if minutes else f"{rest} s"


class Outcome:
    """What a step did; it says `unchanged` until told otherwise."""

    text = "unchanged"


@contextmanager
def step(title: str, report: Report) -> Iterator[Outcome]:
    """Report `title`, the outcome that the body sets, and how long it took."""
    started, outcome = time.monotonic(), Outcome()
    yield outcome
    report(f"  {title:<28} {outcome.text:<24} {time.monotonic() - started:6.1f} s")
