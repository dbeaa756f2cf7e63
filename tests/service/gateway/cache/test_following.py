"""Changes that no gateway has passed on invalidate what is cached, by inventory's events."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pika
import pytest

from chassis.messaging import broker
from chassis.settings import BrokerSettings
from gateway.cache import preparation, resources
from gateway.cache.follower import Follower, changed_slots, following
from gateway.cache.settings import CacheSettings
from gateway.cache.versions import Versions
from tools.stack.waiting import wait_until

MOVIES, PRODUCTS = resources.MOVIES, resources.PRODUCTS
READS = ("/api/movies/1", "/api/movies/2", "/api/movies", "/api/products/1", "/api/products")


@pytest.fixture
def versions(tmp_path: Path, broker_settings: BrokerSettings) -> Iterator[Versions]:
    """The versions of a machine whose relay follows."""
    settings = CacheSettings(redis_socket=tmp_path / "redis.sock")
    with following(broker_settings, settings, tmp_path):
        shared = Versions(tmp_path)
        wait_until(shared.is_followed, 30, "events to be followed")
        yield shared


def of(versions: Versions, path: str) -> bytes | None:
    """The versions that an answer to GET of a path is stored under."""
    slots = resources.read(path)
    assert slots is not None
    return versions.current(slots)


def publish(settings: BrokerSettings, type: str, data: object) -> None:
    """Publish an event of inventory."""
    with closing(pika.BlockingConnection(broker.parameters(settings, "test"))) as connection:
        event = {"specversion": "1.0", "type": type, "data": data}
        connection.channel().basic_publish("inventory_events", type, json.dumps(event).encode())


@pytest.mark.parametrize(
    ("type", "data", "changed"),
    [
        ("movie.updated", {"id": 1}, {"/api/movies/1", "/api/movies"}),
        ("movie.cleared", {"deleted": 2}, {"/api/movies/1", "/api/movies/2", "/api/movies"}),
        ("product.deleted", {"id": 1}, {"/api/products/1", "/api/products"}),
        (
            "stock.reserved",
            {"lines": [{"product_id": 1, "quantity": 2}]},
            {"/api/products/1", "/api/products"},
        ),
        ("stock.released", {"lines": []}, {"/api/products"}),
    ],
)
def test_an_event_invalidates_what_it_has_changed(
    versions: Versions,
    broker_settings: BrokerSettings,
    type: str,
    data: object,
    changed: set[str],
) -> None:
    before = {path: of(versions, path) for path in READS}
    publish(broker_settings, type, data)
    one = sorted(changed)[0]
    wait_until(lambda: of(versions, one) != before[one], 30, "an invalidation")
    wait_until(
        lambda: {path for path in READS if of(versions, path) != before[path]} == changed,
        10,
        "all invalidations",
    )


def test_after_a_gap_everything_is_invalidated(
    versions: Versions, broker_settings: BrokerSettings
) -> None:
    before = of(versions, "/api/movies/1")
    versions.unfollow()
    assert of(versions, "/api/movies/1") is None
    wait_until(versions.is_followed, 30, "events to be followed")
    assert of(versions, "/api/movies/1") not in (None, before)


def test_a_follower_that_was_killed_and_started_again_at_once_leaves_a_gap(
    tmp_path: Path, broker_settings: BrokerSettings
) -> None:
    settings = CacheSettings(redis_socket=tmp_path / "redis.sock")
    preparation.prepare(settings, tmp_path)
    shared = Versions(tmp_path)
    # the killed one has noted that it follows for a few more seconds
    shared.follow()
    before = of(shared, "/api/movies/1")
    assert before is not None
    with following(broker_settings, settings, tmp_path):
        wait_until(lambda: of(shared, "/api/movies/1") not in (None, before), 30, "an invalidation")


def test_without_a_broker_nothing_is_followed(
    tmp_path: Path, broker_settings: BrokerSettings
) -> None:
    preparation.prepare(CacheSettings(redis_socket=tmp_path / "redis.sock"), tmp_path)
    shared = Versions(tmp_path)
    follower = Follower(broker_settings, shared)
    follower.start()
    wait_until(shared.is_followed, 30, "events to be followed")
    follower.close()
    assert not shared.is_followed()
    assert of(shared, "/api/movies/1") is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"type": 1, "data": {}}', b"\xff"])
def test_what_is_no_event_invalidates_everything(body: bytes) -> None:
    assert changed_slots(body) == (MOVIES.everything, PRODUCTS.everything)


def test_stock_that_stays_invalidates_nothing() -> None:
    assert changed_slots(b'{"type": "stock.sold", "data": {"lines": []}}') == ()


def test_a_line_without_a_product_invalidates_all_products() -> None:
    body = b'{"type": "stock.reserved", "data": {"lines": [{}]}}'
    assert PRODUCTS.everything in changed_slots(body)
