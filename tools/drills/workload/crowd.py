"""A crowd beside the traffic: clients that order repeatedly, and clients that read orders.

It shows whether a service that hangs takes down another that needs it: inventory, orders.
"""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from tools.drills.workload.client import Client
from tools.drills.workload.history import History, Verdict
from tools.drills.workload.request_generator import RequestGenerator

POSTERS = 64
READS_A_SECOND = 16
MAX_READERS = 192
# all posters start within this time, since a burst would be a fault of its own
RAMP_UP_SECONDS = 2.0
# between two posts of one client, at least as long as a refusal asks it to wait
PAUSE_SECONDS = (1.0, 3.0)


class Crowd:
    """Clients that act at the same time while they are `at_work`."""

    def __init__(self, client: Client, generator: RequestGenerator, history: History) -> None:
        self._client = client
        self._generator = generator
        self._history = history
        threads = POSTERS + MAX_READERS + 1
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="crowd")
        self._works: list[Future[None]] = []
        self._reads: list[Future[None]] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have all clients act during a block; `finish` waits for the last answers."""
        end = threading.Event()
        self._works += [self._threads.submit(self._order, end) for _ in range(POSTERS)]
        self._works.append(self._threads.submit(self._read_at_rate, end))
        try:
            yield
        finally:
            end.set()

    def finish(self) -> None:
        """Return when every request is answered or has timed out.

        Raises a failure of a client itself; what the platform did wrong is in the history.
        """
        try:
            for work in self._works:
                work.result()
        finally:
            self._threads.shutdown(wait=True)
        for read in self._reads:
            read.result()

    def _order(self, end: threading.Event) -> None:
        """Order repeatedly; each order is sent again with its key until it is accepted."""
        request, pause = self._generator.order(), random.uniform(0, RAMP_UP_SECONDS)
        while not end.wait(pause):
            answer = self._client.send(request)
            self._history.add(answer)
            if answer.verdict is Verdict.ACCEPTED:
                request = self._generator.order()
            pause = random.uniform(*PAUSE_SECONDS)

    def _read_at_rate(self, end: threading.Event) -> None:
        """Have orders read at a fixed rate, whether or not earlier reads are answered."""
        due = time.monotonic()
        while not end.wait(max(0.0, due - time.monotonic())):
            self._reads.append(self._threads.submit(self._read, due))
            due += 1 / READS_A_SECOND

    def _read(self, due: float) -> None:
        self._history.add(self._client.send(self._generator.order_read(), due))
