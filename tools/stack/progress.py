"""What goes on, and for how long, in a line that is written over; plain lines elsewhere.

It is written to standard error, so that standard output holds nothing but what a command says.
"""

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

SPINNER = "|/-\\"
REDRAW_SECONDS = 0.2
# a step that ends sooner is not worth a look
QUIET_SECONDS = 0.5
# between lines where nothing can be written over
PLAIN_SECONDS = 10.0
NAMED = 3
WIDEST = 100
CLEAR = "\r\x1b[K"


def is_terminal(stream: TextIO) -> bool:
    """Whether a person sees what is written, on a terminal that does more than print."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Progress:
    """Steps that run, perhaps several at once, and the line that says so."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._steps: dict[int, tuple[str, float]] = {}
        self._numbers = itertools.count()
        self._frames = itertools.cycle(SPINNER)
        self._is_drawn = False
        self._said = 0.0
        self._changed = threading.Event()

    @contextmanager
    def of(self, title: str, is_shown: bool = True) -> Iterator[Callable[[], float]]:
        """Show that something goes on, for a block; lends how many seconds it has so far."""
        started, number = time.monotonic(), next(self._numbers)
        if is_shown:
            self._begin(number, title, started)
        try:
            yield lambda: time.monotonic() - started
        finally:
            if is_shown:
                self._end(number)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Remove the line for a block that writes something else."""
        with self._lock:
            self._clear()
            yield

    def _begin(self, number: int, title: str, started: float) -> None:
        with self._lock:
            if not self._steps:
                self._said = started
                self._changed = threading.Event()
                threading.Thread(target=self._keep, args=[self._changed], daemon=True).start()
            self._steps[number] = (title, started)

    def _end(self, number: int) -> None:
        with self._lock:
            del self._steps[number]
            self._clear()
            if not self._steps:
                self._changed.set()

    def _keep(self, ended: threading.Event) -> None:
        while not ended.wait(REDRAW_SECONDS):
            with self._lock:
                if self._steps and not ended.is_set():
                    self._draw(time.monotonic())

    def _draw(self, now: float) -> None:
        oldest = min(started for _title, started in self._steps.values())
        text = f"{_few([title for title, _started in self._steps.values()])}  {now - oldest:.0f} s"
        if not is_terminal(sys.stderr):
            if now - self._said >= PLAIN_SECONDS:
                self._said = now
                _write(f"  still: {text}\n")
        elif now - oldest >= QUIET_SECONDS:
            _write(f"{CLEAR}  {next(self._frames)} {_fitting(text)}")
            self._is_drawn = True

    def _clear(self) -> None:
        if self._is_drawn:
            _write(CLEAR)
            self._is_drawn = False


def _few(titles: Sequence[str]) -> str:
    more = len(titles) - NAMED
    return ", ".join(titles[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _fitting(text: str) -> str:
    """What fits into a line of the terminal: a longer one could not be written over."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or WIDEST
    except (OSError, ValueError):
        columns = WIDEST
    if len(text) < columns - 5:
        return text
    titles, _, elapsed = text.rpartition("  ")
    return f"{titles[: columns - 20]}…  {elapsed}"


def _write(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        # nobody reads it: what goes on goes on
        return


PROGRESS = Progress()
