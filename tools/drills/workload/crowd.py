"""A crowd beside the traffic: clients that order again and again, and others that read orders.

It shows whether a service that hangs takes down another one that needs it: orders, by inventory.
"""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from tools.drills.workload.client import Client
from tools.drills.workload.history import Ledger, Verdict
from tools.drills.workload.request_generator import Mix

POSTERS = 64
READS_A_SECOND = 16
READERS_AT_MOST = 192
# within which all posters have come, as a burst would be a fault of its own
COME_SECONDS = 2.0
# between two posts of one client, no shorter than a refusal asks it to wait
PAUSE_SECONDS = (1.0, 3.0)


class Crowd:
    """Clients that act at the same time while they are `at_work`."""

    def __init__(self, client: Client, mix: Mix, ledger: Ledger) -> None:
        self._client = client
        self._mix = mix
        self._ledger = ledger
        most = POSTERS + READERS_AT_MOST + 1
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="crowd")
        self._works: list[Future[None]] = []
        self._reads: list[Future[None]] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have all of them act during a block; what they wait for at its end, `finish` awaits."""
        end = threading.Event()
        self._works += [self._threads.submit(self._order, end) for _ in range(POSTERS)]
        self._works.append(self._threads.submit(self._read_at_rate, end))
        try:
            yield
        finally:
            end.set()

    def finish(self) -> None:
        """Return when all that was sent is answered or has timed out.

        Raises what went wrong in a client, but for what the ledger has.
        """
        try:
            for work in self._works:
                work.result()
        finally:
            self._threads.shutdown(wait=True)
        for read in self._reads:
            read.result()

    def _order(self, end: threading.Event) -> None:
        """Order again and again, each time until the order is accepted, by its key."""
        request, pause = self._mix.order(), random.uniform(0, COME_SECONDS)
        while not end.wait(pause):
            answer = self._client.send(request)
            self._ledger.add(answer)
            if answer.verdict is Verdict.ACCEPTED:
                request = self._mix.order()
            pause = random.uniform(*PAUSE_SECONDS)

    def _read_at_rate(self, end: threading.Event) -> None:
        """Have orders read, whether or not earlier reads are answered."""
        due = time.monotonic()
        while not end.wait(max(0.0, due - time.monotonic())):
            self._reads.append(self._threads.submit(self._read, due))
            due += 1 / READS_A_SECOND

    def _read(self, due: float) -> None:
        self._ledger.add(self._client.send(self._mix.order_read(), due))
