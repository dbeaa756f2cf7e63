"""A client always reads its own write, whichever worker process answers it."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from chassis.settings import DatabaseSettings
from tests.support.at_work import at_work
from tests.support.caching import followed
from tests.support.served import gateway_variables, serving
from tools.stack.servers.redis import Redis

WRITERS, WRITES, READERS = 3, 60, 4
SLOWEST = 0.03  # seconds between the reading of a value and the answer


class SlowInventory(ThreadingHTTPServer):
    """An upstream with movies in memory, whose answers are old by the time they arrive."""

    daemon_threads = True
    request_queue_size = 128  # the default, 5, refuses connections of a busy gateway

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.values = dict.fromkeys(range(1, WRITERS + 1), 0)


class Handler(BaseHTTPRequestHandler):
    """Serves `/api/movies` and `/api/movies/ID`."""

    protocol_version = "HTTP/1.1"
    server: SlowInventory

    def do_GET(self) -> None:
        id = self.path.removeprefix("/api/movies").removeprefix("/")
        values = dict(self.server.values)
        self._answer(values[int(id)] if id else values, "CDN-Cache-Control: max-age=60")

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        threading.Event().wait(random.uniform(0, SLOWEST))
        self.server.values[int(self.path.rpartition("/")[2])] = body
        self._answer(body, "X-Nothing: 1")

    def _answer(self, value: object, field: str) -> None:
        threading.Event().wait(random.uniform(0, SLOWEST))
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{field}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@contextmanager
def slow_inventory() -> Iterator[SlowInventory]:
    """An upstream for a block."""
    with SlowInventory() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def gateway(
    shared_redis: Redis, database_settings: Callable[[str], DatabaseSettings], tmp_path: Path
) -> Iterator[str]:
    """The address of a gateway with two worker processes."""
    with slow_inventory() as upstream:
        port = upstream.server_address[1]
        variables = gateway_variables(database_settings("gateway"), inventory=port)
        variables |= {"GATEWAY_WORKERS": "2", "REDIS_SOCKET": str(shared_redis.socket)}
        with (
            serving("gateway", variables, tmp_path) as served,
            followed(tmp_path / "state" / "gateway" / "cache"),
        ):
            yield f"{served.url}/api/movies"


def test_a_client_reads_its_own_write_through_any_worker_under_load(gateway: str) -> None:
    results: Counter[str] = Counter()

    def read(stop: threading.Event) -> None:
        while not stop.is_set():
            path = random.choice(("", *(f"/{id}" for id in range(1, WRITERS + 1))))
            answer = requests.get(gateway + path, timeout=30)
            results[answer.headers["Cache-Status"].split(";")[1].strip()] += 1

    def write(id: int) -> None:
        for number in range(1, WRITES + 1):
            assert requests.put(f"{gateway}/{id}", json=number, timeout=30).status_code == 200
            # a new connection each, so either worker may answer
            for _ in range(2):
                assert requests.get(f"{gateway}/{id}", timeout=30).json() == number
                assert requests.get(gateway, timeout=30).json()[str(id)] == number

    failures: list[BaseException] = []

    def guarded(id: int) -> None:
        try:
            write(id)
        except BaseException as error:
            failures.append(error)

    with at_work(*[read] * READERS):
        writers = [threading.Thread(target=guarded, args=(id,)) for id in range(1, WRITERS + 1)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    assert not failures, "\n".join(map(repr, failures))
    # the cache was in use meanwhile
    assert results["hit"] > 0
