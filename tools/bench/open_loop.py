"""Requests at a held rate: each is sent when it is due, whether or not earlier ones are answered.

The time of an answer counts from when its request was due, so a stall shows in all requests that
fall into it (no coordinated omission). Own code, since nothing else fits: wrk holds a number of
connections and no rate. autocannon sends each second's requests in one burst, and corrects by an
interval that is always 1 ms. The drills' clients open a connection and take a thread for each
request: eight times the CPU time of this module, and at most 900 requests a second.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from tools.bench.exchange import Connection, Exchange
from tools.bench.figures import Sample

MAX_CONNECTIONS = 256
"""The most requests in flight; a further one waits, and its time counts."""
# for the last answers, after the last request was due
PATIENCE_SECONDS = 10.0


class Message(NamedTuple):
    """A request: its kind, which answers are grouped by, and its bytes."""

    kind: str
    data: bytes


def request(method: str, path: str, body: str = "", token: str | None = None) -> bytes:
    """The bytes of a request over a connection that is kept; a body is JSON."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", body]).encode()


class Answers(NamedTuple):
    """The result of a run.

    Attributes:
        seconds: how long requests were sent.
        times: milliseconds from when a request was due to its answer, by kind, of accepted ones.
        failed: how many were refused, broken or not answered, by kind.
    """

    seconds: float
    times: Mapping[str, Sequence[float]]
    failed: Mapping[str, int]

    def sample(self, kind: str | None = None) -> Sample:
        """The result as a sample, of one kind of requests or of all."""
        kinds = [kind] if kind else [*self.times, *self.failed]
        times = sorted(t for name in {*kinds} for t in self.times.get(name, ()))
        failed = sum(self.failed.get(name, 0) for name in {*kinds})
        rate = len(times) / self.seconds
        if not times:
            return Sample(rate, failed=failed)
        p50, p99, p999 = (percentile(times, share) for share in (0.5, 0.99, 0.999))
        return Sample(rate, p50, p99, times[-1], failed, units=len(times), p999=p999)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of ordered values does not exceed (nearest rank)."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def load(address: str, make: Callable[[int], Message], rate: float, seconds: float) -> Answers:
    """Send `make(0)`, `make(1)` … to an address, `rate` a second for a number of seconds."""
    return asyncio.run(_Load(address, make, rate, seconds).run())


class _Load:
    def __init__(
        self, address: str, make: Callable[[int], Message], rate: float, seconds: float
    ) -> None:
        parts = urlsplit(address)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self._make = make
        self._rate = rate
        self._count = max(round(rate * seconds), 1)
        self._seconds = self._count / rate
        self._sent = 0
        self._open = 0
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: deque[Exchange] = deque()
        self._times: defaultdict[str, list[float]] = defaultdict(list)
        self._failed: defaultdict[str, int] = defaultdict(int)
        self._left = self._count
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self) -> Answers:
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._began = self._loop.time()
        self._send_due()
        await asyncio.wait([self._ended], timeout=self._seconds + PATIENCE_SECONDS)
        answers = self._answers()
        self._waiting.clear()
        for connection in list(self._connections):
            connection.close()
        return answers

    def _answers(self) -> Answers:
        failed = dict(self._failed)
        if self._left:
            failed["unanswered"] = self._left
        return Answers(self._seconds, dict(self._times), failed)

    def _send_due(self) -> None:
        now = self._loop.time()
        while self._sent < self._count and (due := self._due()) <= now:
            self._send(Exchange(*self._make(self._sent), due, self._answered))
            self._sent += 1
        if self._sent < self._count:
            self._loop.call_at(self._due(), self._send_due)

    def _due(self) -> float:
        return self._began + self._sent / self._rate

    def _send(self, exchange: Exchange) -> None:
        if self._idle:
            self._idle.pop().send(exchange)
            return
        self._waiting.append(exchange)
        if self._open < MAX_CONNECTIONS:
            self._open += 1
            task = self._loop.create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect(self) -> None:
        try:
            await self._loop.create_connection(
                lambda: Connection(self._free, self._closed), self._host, self._port
            )
        except OSError:
            self._open -= 1
            if self._waiting:
                self._waiting.popleft().fail()

    def _free(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _closed(self, connection: Connection) -> None:
        self._open -= 1
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting:
            self._send(self._waiting.popleft())

    def _answered(self, exchange: Exchange, status: int) -> None:
        if 0 < status < 400:
            self._times[exchange.kind].append(1000 * (self._loop.time() - exchange.due))
        else:
            self._failed[exchange.kind] += 1
        self._left -= 1
        if not self._left and not self._ended.done():
            self._ended.set_result(None)
