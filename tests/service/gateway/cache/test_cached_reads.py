"""What is answered from the cache, and what is not."""

import threading
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chassis.errors import UnavailableError, UpstreamTimeoutError
from gateway.cache import resources
from gateway.cache.versions import Versions
from tests.support.caching import MOVIE, MOVIES, PRODUCT, FakeInventory, worker
from tools.stack.servers.redis import Redis
from tools.stack.waiting import wait_until

NO_CACHE = {"Cache-Control": "no-cache"}


@pytest.fixture
def gateway(
    inventory: FakeInventory, shared_redis: Redis, directory: Path, versions: Versions
) -> FlaskClient:
    """A worker."""
    return worker(inventory, shared_redis.socket, directory)


@pytest.fixture
def other(
    inventory: FakeInventory, shared_redis: Redis, directory: Path, versions: Versions
) -> FlaskClient:
    """Another worker of the same gateway."""
    return worker(inventory, shared_redis.socket, directory)


def status(response: TestResponse) -> str:
    """What a response says about the cache."""
    return response.headers.get("Cache-Status", "").removeprefix("crud-master; ")


def fill(gateway: FlaskClient, path: str = MOVIE) -> None:
    """Have an answer stored."""
    assert status(gateway.get(path)) == "fwd=uri-miss; stored"


def test_a_second_read_is_answered_from_the_cache_by_any_worker(
    gateway: FlaskClient, other: FlaskClient, inventory: FakeInventory
) -> None:
    first, second = gateway.get(MOVIE), other.get(MOVIE)
    assert status(first) == "fwd=uri-miss; stored"
    assert status(second).startswith("hit; ttl=")
    assert "Age" not in first.headers
    assert second.headers["Age"] == "0"
    assert second.data == first.data
    for response in (first, second):
        assert (response.status_code, response.headers["ETag"]) == (200, '"0"')
        assert response.headers["Content-Type"] == "application/json"
        assert "CDN-Cache-Control" not in response.headers
    assert inventory.requests == ["GET /api/movies/1"]


def test_path_query_and_accept_are_told_apart(gateway: FlaskClient) -> None:
    fill(gateway, MOVIES)
    fill(gateway, f"{MOVIES}/")
    fill(gateway, f"{MOVIES}?limit=2")
    fill(gateway, f"{MOVIES}?limit=3")
    fill(gateway, "/api/produits")
    fill(gateway, "/api/products")
    accepting = gateway.get(MOVIES, headers={"Accept": "text/plain"})
    assert status(accepting) == "fwd=uri-miss; stored"
    assert status(gateway.get(f"{MOVIES}?limit=3")).startswith("hit")


def test_head_is_answered_from_a_stored_get_and_stores_nothing(gateway: FlaskClient) -> None:
    assert status(gateway.head(MOVIE)) == "fwd=uri-miss"
    fill(gateway)
    found = gateway.head(MOVIE)
    assert status(found).startswith("hit")
    assert (found.data, found.headers["Content-Length"]) == (b"", "2")


def test_a_client_that_has_the_answer_gets_304_from_the_cache(gateway: FlaskClient) -> None:
    fill(gateway)
    known = gateway.get(MOVIE, headers={"If-None-Match": '"7", W/"0"'})
    assert (known.status_code, known.data, known.headers["ETag"]) == (304, b"", '"0"')
    assert status(known).startswith("hit")
    assert "Content-Type" not in known.headers
    assert gateway.get(MOVIE, headers={"If-None-Match": '"7"'}).status_code == 200


@pytest.mark.parametrize("headers", [{"If-None-Match": "7"}, {"If-Match": '"7"'}])
def test_what_only_inventory_can_judge_is_forwarded(
    gateway: FlaskClient, inventory: FakeInventory, headers: dict[str, str]
) -> None:
    fill(gateway)
    gateway.get(MOVIE, headers=headers)
    assert len(inventory.requests) == 2


@pytest.mark.parametrize(
    "headers", [NO_CACHE, {"Pragma": "no-cache"}, {"Cache-Control": "max-age=0"}]
)
def test_a_client_may_ask_for_a_new_answer_which_is_stored(
    gateway: FlaskClient, inventory: FakeInventory, headers: dict[str, str]
) -> None:
    fill(gateway)
    inventory.value = 5
    asked = gateway.get(MOVIE, headers=headers)
    assert (asked.data, status(asked)) == (b"5\n", "fwd=request; stored")
    assert gateway.get(MOVIE).data == b"5\n"


def test_a_client_may_forbid_to_store(gateway: FlaskClient) -> None:
    assert status(gateway.get(MOVIE, headers={"Cache-Control": "no-store"})) == "fwd=uri-miss"
    fill(gateway)


def test_what_inventory_does_not_allow_is_not_stored(
    gateway: FlaskClient, inventory: FakeInventory
) -> None:
    inventory.seconds = 0
    assert status(gateway.get(MOVIE)) == "fwd=uri-miss"
    inventory.seconds, inventory.status = 60, 404
    assert status(gateway.get(MOVIE)) == "fwd=uri-miss"


@pytest.mark.parametrize("path", ["/api/products/1/stock", "/api/movies/01", "/api/movies/x"])
def test_other_paths_are_not_cached(gateway: FlaskClient, path: str) -> None:
    assert [status(gateway.get(path)) for _ in range(2)] == ["", ""]


def test_an_expired_answer_is_fetched_again(gateway: FlaskClient, inventory: FakeInventory) -> None:
    inventory.seconds = 1
    fill(gateway)
    wait_until(
        lambda: status(gateway.get(MOVIE)) == "fwd=stale; stored", 10, "the answer to expire"
    )


@pytest.mark.parametrize("method", ["put", "patch", "delete", "post"])
def test_a_write_invalidates_its_item_and_all_lists_for_every_worker(
    gateway: FlaskClient, other: FlaskClient, method: str
) -> None:
    for path in (MOVIE, "/api/movies/2", MOVIES, f"{MOVIES}?limit=2", PRODUCT):
        fill(gateway, path)
    assert getattr(other, method)(MOVIE).status_code == 200
    for path in (MOVIE, MOVIES, f"{MOVIES}?limit=2"):
        found = gateway.get(path)
        assert (found.data, status(found)) == (b"1\n", "fwd=uri-miss; stored")
    assert status(gateway.get("/api/movies/2")).startswith("hit")
    is_deleted = method == "delete"
    # it may have referred to the movie
    assert status(gateway.get(PRODUCT)).startswith("fwd" if is_deleted else "hit")


def test_a_new_resource_invalidates_lists_alone(gateway: FlaskClient) -> None:
    for path in (MOVIE, MOVIES):
        fill(gateway, path)
    gateway.post(MOVIES)
    assert status(gateway.get(MOVIE)).startswith("hit")
    assert gateway.get(MOVIES).data == b"1\n"


def test_the_deletion_of_all_movies_invalidates_all_of_them(gateway: FlaskClient) -> None:
    for path in (MOVIE, MOVIES, PRODUCT):
        fill(gateway, path)
    gateway.delete(MOVIES)
    for path in (MOVIE, MOVIES, PRODUCT):
        assert gateway.get(path).data == b"1\n"


def test_an_alias_changes_what_the_other_name_shows(gateway: FlaskClient) -> None:
    fill(gateway, PRODUCT)
    gateway.post("/api/produits/1/stock")
    assert gateway.get(PRODUCT).data == b"1\n"


def test_a_slow_read_cannot_store_what_a_write_has_made_stale(
    gateway: FlaskClient, other: FlaskClient, inventory: FakeInventory
) -> None:
    inventory.hold = threading.Event()
    reader = threading.Thread(target=lambda: gateway.get(MOVIE))
    reader.start()
    assert inventory.held.wait(30)
    hold, inventory.hold = inventory.hold, None
    other.put(MOVIE)
    hold.set()
    reader.join()
    found = other.get(MOVIE)
    assert (found.data, status(found)) == (b"1\n", "fwd=uri-miss; stored")


def test_while_a_write_is_in_flight_nothing_is_shown_or_stored(
    gateway: FlaskClient, versions: Versions
) -> None:
    fill(gateway)
    slots = resources.written("PUT", MOVIE)
    mark = versions.close(slots)
    for _ in range(2):
        assert status(gateway.get(MOVIE)) == "fwd=bypass; detail=changing"
    versions.change(slots)
    versions.reopen(slots, mark)
    fill(gateway)


def test_a_write_that_was_not_sent_invalidates_nothing(
    gateway: FlaskClient, inventory: FakeInventory
) -> None:
    fill(gateway)
    inventory.failure = UnavailableError("inventory-api can't be reached.", cause="refused")
    assert gateway.put(MOVIE).status_code == 503
    assert status(gateway.get(MOVIE)).startswith("hit")


def test_a_write_whose_body_is_refused_invalidates_nothing(gateway: FlaskClient) -> None:
    fill(gateway)
    refused = gateway.put(MOVIE, data=b"{}", headers={"Content-Encoding": "gzip"})
    assert refused.status_code == 415
    assert status(gateway.get(MOVIE)).startswith("hit")


def test_after_a_write_of_unknown_outcome_nothing_is_shown_until_it_must_have_ended(
    gateway: FlaskClient, inventory: FakeInventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cache.versions.CLOSED_SECONDS", 0.5)
    fill(gateway)
    inventory.failure = UpstreamTimeoutError("inventory-api has not answered in time.")
    assert gateway.put(MOVIE).status_code == 504
    inventory.failure = None
    assert status(gateway.get(MOVIE)) == "fwd=bypass; detail=changing"
    wait_until(lambda: "bypass" not in status(gateway.get(MOVIE)), 10, "the closing to end")
    assert status(gateway.get(MOVIE)).startswith("hit")


def test_a_later_write_opens_nothing_that_one_of_unknown_outcome_may_still_change(
    gateway: FlaskClient, other: FlaskClient, inventory: FakeInventory
) -> None:
    fill(gateway)
    inventory.failure = UpstreamTimeoutError("inventory-api has not answered in time.")
    assert gateway.put(MOVIE).status_code == 504
    inventory.failure = None
    assert other.put(MOVIE).status_code == 200
    assert status(gateway.get(MOVIE)) == "fwd=bypass; detail=changing"


def test_unless_events_are_followed_nothing_is_shown_or_stored(
    gateway: FlaskClient, directory: Path, versions: Versions
) -> None:
    fill(gateway)
    versions.unfollow()
    assert status(gateway.get(MOVIE)) == "fwd=bypass; detail=unfollowed"
    versions.follow()
    fill(gateway)


def test_while_inventory_fails_what_expired_recently_is_shown(
    gateway: FlaskClient, inventory: FakeInventory
) -> None:
    inventory.seconds = 1
    fill(gateway)
    inventory.failure = UnavailableError("inventory-api can't be reached.", cause="refused")
    wait_until(lambda: "stale" in status(gateway.get(MOVIE)), 10, "the answer to expire")
    found = gateway.get(MOVIE)
    assert (found.status_code, found.data) == (200, b"0\n")
    assert status(found).startswith("fwd=stale; ttl=")
    assert status(found).endswith("; detail=stale-if-error")
    assert int(found.headers["Age"]) >= 1
    assert gateway.get(MOVIE, headers=NO_CACHE).status_code == 503
    assert gateway.get(MOVIES).status_code == 503
    inventory.failure, inventory.status = None, 502
    assert gateway.get(MOVIE).status_code == 200


def test_stale_answers_can_be_turned_off(
    inventory: FakeInventory, shared_redis: Redis, directory: Path, versions: Versions
) -> None:
    gateway = worker(inventory, shared_redis.socket, directory, stale_seconds=0)
    inventory.seconds = 1
    fill(gateway)
    inventory.failure = UnavailableError("inventory-api can't be reached.", cause="refused")
    wait_until(lambda: gateway.get(MOVIE).status_code == 503, 10, "the answer to expire")
