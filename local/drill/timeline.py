"""What is true each second of a drill: accepted, recorded, waiting."""

import threading
import time

from local.drill.judge import Judge
from local.drill.ledger import Ledger
from local.drill.result import Sample
from local.errors import StackError
from provisioning.rabbitmq.definitions import DEAD_LETTERS

INTERVAL_SECONDS = 1.0


class Timeline:
    """Samples, taken in a thread from `start` until `stop`."""

    def __init__(self, judge: Judge, ledger: Ledger, began: float) -> None:
        self.samples: list[Sample] = []
        self._judge = judge
        self._ledger = ledger
        self._began = began
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="timeline", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take one last sample, and end."""
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            stopped = self._stop.wait(INTERVAL_SECONDS)
            self.samples.append(self._now())
            if stopped:
                return

    def _now(self) -> Sample:
        there = self._recorded()
        second = time.monotonic() - self._began
        names = {entry.request.name for entry in self._ledger.accepted()}
        # of what is there, that which was promised: the drill's own customers are not
        recorded = None if there is None else len(names & there)
        return Sample(second, len(names), recorded, self._waiting())

    def _recorded(self) -> set[str] | None:
        try:
            return set(self._judge.recorded())
        except StackError:
            return None

    def _waiting(self) -> int | None:
        depths = self._judge.source.depths()
        waiting = [depth for name, depth in depths.items() if not name.endswith(DEAD_LETTERS)]
        return sum(waiting) if waiting else None
