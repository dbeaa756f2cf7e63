"""Redis is killed, frozen or flushed: nothing stale is shown, and everything is answered."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from gateway.cache.store import PATIENCE_SECONDS, SECONDS, Store, StoreUnavailableError
from gateway.cache.versions import Versions
from tests.support.caching import MOVIE, FakeInventory, worker
from tests.support.servers import Logged
from tools.stack.servers.redis import Redis
from tools.stack.waiting import wait_until

UNAVAILABLE = "crud-master; fwd=bypass; detail=unavailable"


@pytest.fixture
def workers(
    inventory: FakeInventory, own_redis: Redis, directory: Path, versions: Versions
) -> tuple[FlaskClient, FlaskClient]:
    """Two workers of a gateway."""
    given = inventory, own_redis.socket, directory
    one, other = (worker(*given, redis_seconds=SECONDS) for _ in range(2))
    return one, other


def hits(gateway: FlaskClient) -> bool:
    """Whether a read is answered from the cache."""
    return "hit" in gateway.get(MOVIE).headers["Cache-Status"]


def test_without_redis_all_is_answered_and_its_return_is_noticed(
    workers: tuple[FlaskClient, FlaskClient], own_redis: Redis, logged: Logged
) -> None:
    one, _other = workers
    wait_until(lambda: hits(one), 10, "a hit")
    own_redis.kill()

    def is_reported() -> bool:
        answer = one.get(MOVIE)
        assert (answer.status_code, answer.headers["Cache-Status"]) == (200, UNAVAILABLE)
        return any(line["message"] == "the cache is unavailable" for line in logged())

    wait_until(is_reported, 10, "the outage to be reported")
    own_redis.start()
    wait_until(lambda: hits(one), 10, "a hit")
    messages = [line["message"] for line in logged() if "cache" in line["message"]]
    assert messages == ["the cache is unavailable", "the cache is available again"]


def test_a_frozen_redis_delays_few_requests(
    workers: tuple[FlaskClient, FlaskClient], own_redis: Redis, inventory: FakeInventory
) -> None:
    one, _other = workers
    wait_until(lambda: hits(one), 10, "a hit")
    own_redis.freeze()
    for _ in range(20):
        assert one.get(MOVIE).headers["Cache-Status"] == UNAVAILABLE
    own_redis.thaw()
    wait_until(lambda: hits(one), 10, "a hit")


def test_a_write_without_redis_invalidates_what_redis_still_has(
    workers: tuple[FlaskClient, FlaskClient], own_redis: Redis
) -> None:
    one, other = workers
    wait_until(lambda: hits(one) and hits(other), 10, "hits")
    own_redis.freeze()
    one.put(MOVIE)
    assert other.get(MOVIE).data == b"1\n"
    own_redis.thaw()
    wait_until(lambda: hits(other) and hits(one), 10, "hits")
    assert one.get(MOVIE).data == other.get(MOVIE).data == b"1\n"


def test_a_worker_that_cannot_reach_redis_invalidates_what_others_show(
    inventory: FakeInventory, own_redis: Redis, directory: Path, versions: Versions, tmp_path: Path
) -> None:
    cut_off = worker(inventory, tmp_path / "no.sock", directory)
    other = worker(inventory, own_redis.socket, directory)
    wait_until(lambda: hits(other), 10, "a hit")
    assert cut_off.put(MOVIE).status_code == 200
    assert other.get(MOVIE).data == b"1\n"


def test_a_flushed_redis_is_filled_again(
    inventory: FakeInventory, own_redis: Redis, directory: Path, versions: Versions
) -> None:
    one = worker(inventory, own_redis.socket, directory)
    wait_until(lambda: hits(one), 10, "a hit")
    own_redis.flush()
    assert one.get(MOVIE).headers["Cache-Status"] == "crud-master; fwd=uri-miss; stored"
    assert hits(one)


def test_a_frozen_redis_is_asked_once_a_pause(own_redis: Redis) -> None:
    store, failures = Store(own_redis.socket), 0
    store.set(b"one", b"value", 60_000)
    assert store.get(b"one") == b"value"
    own_redis.freeze()
    while store.is_available():
        with pytest.raises(StoreUnavailableError):
            store.get(b"one")
        failures += 1
        # each has waited
        assert failures <= PATIENCE_SECONDS / SECONDS
    with pytest.raises(StoreUnavailableError):
        store.ping(SECONDS)
    own_redis.thaw()
    store.ping(30)
    wait_until(lambda: answers(store), 10, "an answer")
    assert store.is_available()


def answers(store: Store) -> bool:
    """Whether the store answers."""
    try:
        store.get(b"one")
    except StoreUnavailableError:
        return False
    return True
