"""Rate limits: per client and class, over all workers, and never in the way when they fail."""

import errno
import json
import mmap
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import limits
import pytest
import requests
from flask.testing import FlaskClient
from limits.strategies import FixedWindowRateLimiter

from chassis.messaging.publisher import Publisher
from chassis.settings import DatabaseSettings, read
from gateway.app import create_app
from gateway.edge import rate_limit as gateway_limits
from gateway.edge import shared_counters
from gateway.edge.settings import EdgeSettings
from gateway.edge.shared_counters import SharedCounters
from gateway.settings import AuthSettings
from tests.support.raw_upstream import RawUpstream
from tests.support.served import API_TOKEN, gateway_variables, serving
from tests.support.servers import Logged
from tests.support.settings import NOWHERE, settings_of_gateway
from tools.stack.waiting import wait_until

Make = Callable[..., FlaskClient]
TOKEN = {"Authorization": f"Bearer {API_TOKEN}"}
PATHS = {
    "/api/movies": "movies",
    "/api/products": "products",
    "/api/produits": "products",
    "/api/billing": "billing",
    "/api/customers": "customers",
    "/api/clients": "customers",
    "/api/orders": "orders",
    "/api/commandes": "orders",
    "/api/events": "events",
}


@pytest.fixture
def make(
    upstream: RawUpstream, gateway_db: object, database_settings: Callable[[str], DatabaseSettings]
) -> Make:
    """Make a client of a gateway with these limits."""

    def client(counters: Path | None = None, **limits: str) -> FlaskClient:
        settings = replace(
            settings_of_gateway(database_settings("gateway"), NOWHERE, upstream.port),
            auth=read(AuthSettings, api_token=API_TOKEN),
            edge=read(EdgeSettings, **limits),
            counters=counters,
        )
        return create_app(settings, Publisher(NOWHERE, "idle", [])).test_client(use_cookies=False)

    return client


def statuses(client: FlaskClient, path: str, count: int, address: str = "192.0.2.1") -> list[int]:
    """What so many reads of one client are answered."""
    place = {"REMOTE_ADDR": address}
    answers = [client.get(path, headers=TOKEN, environ_overrides=place) for _ in range(count)]
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize("path", PATHS)
def test_beyond_the_limit_the_answer_is_429_with_the_time_to_try_again(
    make: Make, upstream: RawUpstream, path: str
) -> None:
    client = make(rate_limit_reads="2/day")
    assert statuses(client, path, 2) == [200, 200]
    heard = len(upstream.requests)
    answer = client.get(path, headers=TOKEN, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    assert (answer.status_code, answer.content_type) == (429, "application/problem+json")
    document = json.loads(answer.data)
    assert (document["title"], document["cause"]) == ("Too Many Requests", "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 86400
    wait, name = answer.headers["Retry-After"], f'"{PATHS[path]}-reads"'
    assert answer.headers["RateLimit"] == f"{name};r=0;t={wait}"
    assert answer.headers["RateLimit-Policy"] == f"{name};q=2;w=86400"
    assert len(upstream.requests) == heard


def test_each_answer_has_the_remaining_requests(make: Make) -> None:
    client = make(rate_limit_reads="9/day", rate_limit_writes="5/day")
    for answer, expected in (
        (client.get("/api/movies"), '"movies-reads";r=8;t='),
        (client.get("/api/movies/7"), '"movies-reads";r=7;t='),
        (client.head("/api/movies"), '"movies-reads";r=6;t='),
        (client.options("/api/movies"), '"movies-reads";r=5;t='),
        (client.delete("/api/movies"), '"movies-writes";r=4;t='),
        (client.open("/api/movies", method="BREW"), '"movies-writes";r=3;t='),
        (client.get("/api/orders"), '"orders-reads";r=8;t='),
        (client.post("/api/billing", json=[]), '"billing-writes";r=4;t='),
    ):
        assert answer.headers["RateLimit"].startswith(expected)


def test_clients_and_classes_are_counted_separately_and_both_names_of_a_class_together(
    make: Make,
) -> None:
    client = make(rate_limit_reads="1/day")
    assert statuses(client, "/api/products", 1) == [200]
    assert statuses(client, "/api/produits", 1) == [429]
    assert statuses(client, "/api/movies", 1) == [200]
    assert statuses(client, "/api/products", 1, "192.0.2.2") == [200]
    assert statuses(client, "/api/products", 1, "2001:db8::1") == [200]
    assert statuses(client, "/api/products", 1, "2001:db8::ffff:1") == [429]
    assert statuses(client, "/api/products", 1, "2001:db8:0:1::1") == [200]
    assert client.delete("/api/products", headers=TOKEN).status_code == 200


def test_tokens_can_be_guessed_no_faster(make: Make) -> None:
    client = make(rate_limit_reads="3/day")
    guesses = [{"Authorization": f"Bearer guess-{number}"} for number in range(5)]
    answers = [client.get("/api/orders", headers=guess) for guess in guesses]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[0].headers["RateLimit"].startswith('"orders-reads";r=2;t=')


def test_a_client_that_claims_another_address_is_still_counted(make: Make) -> None:
    client = make(rate_limit_reads="1/day")
    answers = [client.get("/api/movies", headers={"X-Forwarded-For": f"1.1.1.{n}"}) for n in "12"]
    assert [answer.status_code for answer in answers] == [200, 429]


def test_behind_a_trusted_proxy_its_clients_are_counted(make: Make) -> None:
    client = make(rate_limit_reads="1/day", trusted_proxies="127.0.0.0/8")
    answers = [client.get("/api/movies", headers={"X-Forwarded-For": f"1.1.1.{n}"}) for n in "121"]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_live_is_not_limited_and_without_limits_nothing_is(make: Make) -> None:
    client = make(rate_limit_reads="1/day")
    assert [client.get("/live").status_code for _ in range(3)] == [200] * 3
    assert [client.get(path).status_code for path in ("/ready", "/metrics")] == [200, 429]
    free = make(rate_limit_reads="none")
    assert statuses(free, "/api/movies", 5) == [200] * 5
    assert "RateLimit" not in free.get("/api/movies").headers


@pytest.mark.parametrize("size", [None, 0, 4096])
def test_without_its_file_requests_pass_and_one_line_says_so(
    make: Make, tmp_path: Path, size: int | None, logged: Logged
) -> None:
    if size is not None:
        (tmp_path / "counters").write_bytes(b"x" * size)
    client = make(counters=tmp_path / "counters", rate_limit_reads="1/day")
    assert statuses(client, "/api/movies", 5) == [200] * 5
    assert len([line for line in logged() if line["message"] == "requests are not limited"]) == 1


def test_a_worker_that_found_all_lanes_taken_counts_as_soon_as_one_is_free(
    make: Make, tmp_path: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_limits, "RETRY_SECONDS", 0.05)
    path = tmp_path / "counters"
    shared_counters.prepare(path, 1)
    tries: list[None] = []
    open_lane = shared_counters._open_lane

    def counted(path: Path) -> tuple[mmap.mmap, int, int]:
        tries.append(None)
        return open_lane(path)

    holders = [_lane_held_in_a_child(path) for _ in range(2)]
    monkeypatch.setattr(shared_counters, "_open_lane", counted)
    client = make(counters=path, rate_limit_reads="1/day")
    assert statuses(client, "/api/movies", 3) == [200] * 3
    wait_until(lambda: _look(client) is None and len(tries) > 2, 20, "further tries")
    _let_go(holders)
    wait_until(lambda: _look(client) == 429, 20, "requests to be limited again")
    said = [line["message"] for line in logged() if "limited" in line["message"]]
    assert said == ["requests are not limited", "requests are limited again"]
    # the lane's and the map's; no file of a try in vain is left open
    assert _times_open(path) == 2


def _times_open(path: Path) -> int:
    """How many descriptors of this process are of a file."""
    names = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return names.count(str(path))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOMEM, "Cannot allocate memory"), ValueError("mmap length is greater")]
)
def test_a_file_that_cannot_be_mapped_is_closed_and_its_lane_is_free(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "counters"
    shared_counters.prepare(path, 1)
    map_file = mmap.mmap

    def fail(*_arguments: object) -> mmap.mmap:
        raise error

    monkeypatch.setattr(mmap, "mmap", fail)
    for _ in range(3):
        with pytest.raises(OSError):
            SharedCounters(path)
    assert _times_open(path) == 0
    monkeypatch.setattr(mmap, "mmap", map_file)
    # the locks of one process are not in its own way: another shows that the lanes are free
    children = [_lane_held_in_a_child(path) for _ in range(2)]
    _let_go(children)


def _look(client: FlaskClient) -> int | None:
    """The status of a read that is counted; None while none is."""
    answer = client.get("/api/movies", environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    return answer.status_code if "RateLimit" in answer.headers else None


def _lane_held_in_a_child(path: Path) -> tuple[int, int]:
    """Have a process take a lane; return it, and what to close so that it ends."""
    taken, took = os.pipe()
    goes, let_go = os.pipe()
    child = os.fork()
    if not child:
        counters = SharedCounters(path)
        os.write(took, b"x")
        os.read(goes, 1)
        os._exit(0 if counters.check() else 1)
    os.close(took)
    os.close(goes)
    assert os.read(taken, 1) == b"x"
    os.close(taken)
    return child, let_go


def _let_go(holders: Sequence[tuple[int, int]]) -> None:
    """Have the processes that hold lanes end."""
    for child, let_go in holders:
        os.write(let_go, b"x")
        os.close(let_go)
        os.waitpid(child, 0)


def test_a_file_that_cannot_be_created_stops_nothing(tmp_path: Path, logged: Logged) -> None:
    (tmp_path / "file").touch()
    gateway_limits.prepare(tmp_path / "file" / "counters", 2)
    [line] = logged()
    assert line["message"] == "requests are not limited"


def test_limits_hold_over_all_workers(
    upstream: RawUpstream,
    database_settings: Callable[[str], DatabaseSettings],
    tmp_path: Path,
) -> None:
    variables = gateway_variables(database_settings("gateway"), inventory=upstream.port)
    variables |= {"GATEWAY_WORKERS": "2", "RATE_LIMIT_READS": "50/day"}
    with serving("gateway", variables, tmp_path) as gateway:

        def ask(_: int) -> int:
            return requests.get(f"{gateway.url}/api/movies", timeout=30).status_code

        with ThreadPoolExecutor(8) as clients:
            found = list(clients.map(ask, range(90)))
    assert (found.count(200), found.count(429)) == (50, 40)


def test_processes_count_together_and_lose_nothing(tmp_path: Path) -> None:
    path, item = tmp_path / "counters", limits.parse("1000000/day")
    shared_counters.prepare(path, 2)
    children = [_count_in_a_child(path, item) for _ in range(3)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    counter = FixedWindowRateLimiter(SharedCounters(path))
    assert counter.get_window_stats(item, "192.0.2.1").remaining == 1_000_000 - 3 * 4 * 500


def _count_in_a_child(path: Path, item: limits.RateLimitItem) -> int:
    child = os.fork()
    if child:
        return child
    counter = FixedWindowRateLimiter(SharedCounters(path))
    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(lambda: [counter.hit(item, "192.0.2.1") for _ in range(500)])
    os._exit(0)


def test_the_file_is_emptied_when_the_gateway_starts(tmp_path: Path) -> None:
    path, item = tmp_path / "counters", limits.parse("5/day")
    shared_counters.prepare(path, 1)
    FixedWindowRateLimiter(SharedCounters(path)).hit(item, "192.0.2.1")
    shared_counters.prepare(path, 1)
    fresh = FixedWindowRateLimiter(SharedCounters(path))
    assert fresh.get_window_stats(item, "192.0.2.1").remaining == 5


def test_a_window_ends_and_a_new_one_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    counters, now = SharedCounters(None), 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    assert [counters.incr("k", 60) for _ in range(3)] == [1, 2, 3]
    assert (counters.get("k"), counters.get_expiry("k")) == (3, 1_000_020)
    now = 1_000_020.0
    assert (counters.get("k"), counters.get_expiry("k")) == (0, now)
    assert (counters.incr("k", 60), counters.get_expiry("k")) == (1, 1_000_080)


def test_many_clients_do_not_count_for_each_other() -> None:
    counters = SharedCounters(None)
    found = [counters.incr(f"192.0.2.{number}/movies-reads", 86400) for number in range(2000)]
    assert found.count(1) > 1980
    counters.clear("192.0.2.7/movies-reads")
    assert counters.get("192.0.2.7/movies-reads") == 0
    counters.reset()
    assert counters.get("192.0.2.8/movies-reads") == 0
