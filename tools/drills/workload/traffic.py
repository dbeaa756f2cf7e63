"""Traffic at a fixed rate: a request is sent when it is due, without waiting for earlier answers.

An answer's time counts from when its request was due, so that a stall shows in all requests that
fall into it.
"""

import heapq
import itertools
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from tools.drills.workload.client import MAX_IN_FLIGHT, Client
from tools.drills.workload.history import Answer, History, Request, Verdict
from tools.drills.workload.request_generator import RequestGenerator

RETRY_SECONDS = 2.0
REPEAT_SECONDS = 0.7
# of ten accepted requests with a key one is sent again, and of ten orders one is cancelled: those
# whose number ends with these digits
REPEATED, CANCELLED = 3, 7
OF = 10


class Traffic:
    """Clients that together send `rate` requests per second, from `start` until `stop`."""

    def __init__(
        self, client: Client, generator: RequestGenerator, history: History, rate: float
    ) -> None:
        self._client = client
        self._generator = generator
        self._history = history
        self._rate = rate
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(MAX_IN_FLIGHT, thread_name_prefix="client")
        self._again: list[tuple[float, int, Request]] = []
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._repeated: set[str] = set()
        self._failures: list[BaseException] = []
        self._schedule = threading.Thread(target=self._keep_rate, name="schedule", daemon=True)

    def start(self) -> None:
        """Start to send."""
        self._schedule.start()

    def stop(self) -> None:
        """Send nothing more, and return when every request is answered or has timed out.

        Raises a failure of a client itself; what the platform did wrong is in the history.
        """
        self._stop.set()
        self._schedule.join()
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._failures:
            raise self._failures[0]

    def _keep_rate(self) -> None:
        started = time.monotonic()
        for count in itertools.count():
            due = started + count / self._rate
            while not self._stop.is_set() and (pause := due - time.monotonic()) > 0:
                self._send_again()
                self._stop.wait(min(pause, 0.1))
            if self._stop.is_set():
                return
            self._submit(self._generator.next(), due)

    def _send_again(self) -> None:
        while request := self._pop_due():
            self._submit(request, time.monotonic())

    def _submit(self, request: Request, due: float) -> None:
        self._threads.submit(self._exchange, request, due).add_done_callback(self._done)

    def _done(self, exchange: "Future[None]") -> None:
        if not exchange.cancelled() and (failure := exchange.exception()) is not None:
            self._failures.append(failure)

    def _exchange(self, request: Request, due: float) -> None:
        answer = self._client.send(request, due)
        self._history.add(answer)
        self._follow_up(answer)

    def _follow_up(self, answer: Answer) -> None:
        request, last = answer.request, answer.request.number % OF
        if answer.verdict is not Verdict.ACCEPTED:
            if request.key:
                self._later(RETRY_SECONDS, request)
            return
        if request.kind == "order" and answer.id is not None:
            self._generator.seen(answer.id)
            if last == CANCELLED:
                self._later(0, self._generator.cancellation(answer.id))
        if request.key and last == REPEATED and request.name not in self._repeated:
            self._repeated.add(request.name)
            self._later(REPEAT_SECONDS, request)

    def _later(self, seconds: float, request: Request) -> None:
        with self._lock:
            due = time.monotonic() + seconds
            heapq.heappush(self._again, (due, next(self._order), request))

    def _pop_due(self) -> Request | None:
        with self._lock:
            if self._again and self._again[0][0] <= time.monotonic():
                return heapq.heappop(self._again)[2]
        return None
