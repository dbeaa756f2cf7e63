"""Samples of each second of a drill: accepted, recorded, waiting."""

import threading
import time
from collections.abc import Callable

from provisioning.rabbitmq.definitions import DEAD_LETTERS
from tools.drills.checks.checker import Checker
from tools.drills.report.result import Sample
from tools.drills.workload.history import History
from tools.stack.errors import StackError

INTERVAL_SECONDS = 1.0
# a broker whose network is cut does not answer
FRESH_SECONDS = 2.5


class Timeline:
    """Samples, taken in threads from `start` until `stop`."""

    def __init__(self, checker: Checker, history: History, began: float) -> None:
        self.samples: list[Sample] = []
        self._checker = checker
        self._history = history
        self._began = began
        self._depth: tuple[float, int | None] = (0.0, None)
        self._stop = threading.Event()
        loops = (self._sample, self._measure)
        self._threads = [threading.Thread(target=self._repeat, args=(loop,)) for loop in loops]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take one last sample, and end the threads."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, act: Callable[[], None]) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            act()
        act()

    def _sample(self) -> None:
        there = self._recorded()
        second = time.monotonic() - self._began
        names = {entry.request.name for entry in self._history.accepted()}
        # only what was promised: the fixtures' own customers were not
        recorded = None if there is None else len(names & there)
        measured, depth = self._depth
        fresh = time.monotonic() - measured <= FRESH_SECONDS
        self.samples.append(Sample(second, len(names), recorded, depth if fresh else None))

    def _measure(self) -> None:
        depths = self._checker.source.depths()
        waiting = [depth for name, depth in depths.items() if not name.endswith(DEAD_LETTERS)]
        self._depth = (time.monotonic(), sum(waiting) if waiting else None)

    def _recorded(self) -> set[str] | None:
        try:
            return set(self._checker.recorded())
        except StackError:
            return None
