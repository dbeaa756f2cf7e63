"""The events of movies and products: each change with one, in its transaction, and on the wire."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from chassis.messaging import declarations
from chassis.settings import BrokerSettings
from chassis.storage.database import Database
from inventory import relay
from inventory.settings import Settings
from tests.support.amqp import connect
from tests.support.answers import content, problem
from tests.support.at_work import at_work
from tests.support.databases import without_outbox
from tests.support.movies_api import MOVIES
from tests.support.movies_api import create as create_movie
from tests.support.products_api import DVD, PRODUCTS, PRODUITS, adjust, create, stored
from tools.stack.waiting import wait_until

Announced = tuple[str, str | None, dict[str, Any]]
QUEUE, EXCHANGE = "debug-inventory-events", "inventory_events"
SECONDS = 30.0


def announced(database: Database) -> list[Announced]:
    """The events in the outbox: type, aggregate, data."""
    with database.autocommit() as connection:
        rows = connection.execute(text("SELECT * FROM outbox ORDER BY id")).all()
    found = []
    for row in rows:
        event = json.loads(bytes(row.body))
        assert (row.exchange, row.routing_key, row.mandatory) == (EXCHANGE, event["type"], False)
        assert event["source"] == "inventory-api"
        found.append((event["type"], row.aggregate, event["data"]))
    return found


def test_each_change_of_a_product_is_announced_with_the_product_as_it_is_then(
    inventory: FlaskClient, movies_db: Database
) -> None:
    created = create(inventory, **DVD)
    updated = content(
        inventory.put(f"{PRODUITS}/1", json={"price": 5, "stock": 1}, headers={"If-Match": "*"})
    )
    adjusted = content(adjust(inventory, 1, 5))
    deleted = content(inventory.delete(f"{PRODUCTS}/1"))
    assert deleted == adjusted == {"id": 1, **DVD, "price": 5.0, "stock": 6}
    assert announced(movies_db) == [
        ("product.created", "product/1", created),
        ("product.updated", "product/1", updated),
        ("product.updated", "product/1", adjusted),
        ("product.deleted", "product/1", deleted),
    ]


def test_each_change_of_a_movie_is_announced_with_the_movie_as_it_is_then(
    inventory: FlaskClient, movies_db: Database
) -> None:
    created = create_movie(inventory, "The Matrix", "A hacker.")
    updated = content(inventory.put(f"{MOVIES}/1", json={"title": "Tron"}))
    deleted = content(inventory.delete(f"{MOVIES}/1"))
    assert announced(movies_db) == [
        ("movie.created", "movie/1", created),
        ("movie.updated", "movie/1", updated),
        ("movie.deleted", "movie/1", deleted),
    ]


def test_a_change_without_effect_is_not_announced(
    inventory: FlaskClient, movies_db: Database
) -> None:
    create(inventory, stock=1)
    for path in (PRODUCTS, f"{PRODUCTS}/1", f"{PRODUCTS}?in_stock=true", MOVIES):
        assert inventory.get(path).status_code == 200
    problem(inventory.post(PRODUCTS, json={"name": "DVD", "price": 1, "movie_id": 5}), 422)
    problem(inventory.put(f"{PRODUCTS}/1", json={"movie_id": 5}), 422)
    problem(inventory.put(f"{PRODUCTS}/1", json={}), 422)
    problem(inventory.put(f"{PRODUCTS}/2", json={"stock": 5}, headers={"If-Match": "*"}), 404)
    problem(inventory.delete(f"{PRODUCTS}/2"), 404)
    problem(adjust(inventory, 1, -2), 409)
    problem(adjust(inventory, 2, 1), 404)
    problem(inventory.put(f"{MOVIES}/1", json={"title": "Tron"}), 404)
    problem(inventory.delete(f"{MOVIES}/1"), 404)
    assert inventory.delete(MOVIES).json == {"deleted": 0}
    assert [type for type, _aggregate, _data in announced(movies_db)] == ["product.created"]


def test_products_that_lose_their_movie_are_announced_as_updated(
    inventory: FlaskClient, movies_db: Database
) -> None:
    matrix, tron = (create_movie(inventory, title) for title in ("The Matrix", "Tron"))
    editions = [create(inventory, movie_id=matrix["id"]) for _ in range(2)]
    create(inventory, movie_id=tron["id"])
    before = len(announced(movies_db))
    inventory.delete(f"{MOVIES}/{matrix['id']}")
    *updates, deleted = announced(movies_db)[before:]
    left = [{**product, "movie_id": None} for product in editions]
    assert sorted(updates, key=lambda update: update[2]["id"]) == [
        ("product.updated", f"product/{product['id']}", product) for product in left
    ]
    assert deleted == ("movie.deleted", f"movie/{matrix['id']}", matrix)


def test_deleting_all_movies_is_one_event_and_one_for_each_product_that_had_one(
    inventory: FlaskClient, movies_db: Database
) -> None:
    movies = [create_movie(inventory, title) for title in ("A", "B", "C")]
    product = create(inventory, movie_id=movies[0]["id"])
    create(inventory)
    before = len(announced(movies_db))
    inventory.delete(MOVIES)
    assert announced(movies_db)[before:] == [
        ("product.updated", "product/1", {**product, "movie_id": None}),
        ("movie.cleared", "movies", {"deleted": 3, "up_to": 3}),
    ]


def test_without_its_event_a_change_is_rolled_back(
    inventory: FlaskClient, movies_db: Database
) -> None:
    movie = create_movie(inventory, "The Matrix")
    create(inventory, movie_id=movie["id"], stock=3)
    before = stored(movies_db)
    with without_outbox(movies_db):
        responses = [
            inventory.post(PRODUCTS, json=DVD),
            inventory.put(f"{PRODUCTS}/1", json={"name": "Blu-ray"}),
            adjust(inventory, 1, 1),
            inventory.delete(f"{PRODUCTS}/1"),
            inventory.post(MOVIES, json={"title": "Tron"}),
            inventory.put(f"{MOVIES}/1", json={"title": "Tron"}),
            inventory.delete(f"{MOVIES}/1"),
            inventory.delete(MOVIES),
        ]
    assert [response.status_code for response in responses] == [503] * 8
    assert stored(movies_db) == before
    assert inventory.get(MOVIES).json == [movie]


@contextmanager
def channel_of(settings: BrokerSettings) -> Iterator[BlockingChannel]:
    """Lend a channel beside the service's."""
    with connect(settings) as connection:
        yield connection.channel()


@pytest.fixture
def taken(broker_settings: BrokerSettings) -> Iterator[Callable[[int], list[dict[str, Any]]]]:
    """Wait for so many different events; those that came, the first arrival of each."""
    events: dict[str, dict[str, Any]] = {}

    def have_come(number: int) -> bool:
        with channel_of(broker_settings) as channel:
            while True:
                method, properties, body = channel.basic_get(QUEUE, auto_ack=True)
                if method is None or properties is None or body is None:
                    return len(events) >= number
                event = json.loads(body) | {"properties": properties, "key": method.routing_key}
                events.setdefault(event["id"], event)

    def take(number: int) -> list[dict[str, Any]]:
        wait_until(lambda: have_come(number), SECONDS, f"{number} events")
        return list(events.values())

    with channel_of(broker_settings) as channel:
        channel.exchange_declare(EXCHANGE, "topic", durable=True)
        channel.queue_declare(QUEUE, durable=True, arguments=declarations.QUORUM)
        channel.queue_bind(QUEUE, EXCHANGE, "#")
        channel.queue_purge(QUEUE)
    yield take
    with channel_of(broker_settings) as channel:
        channel.queue_delete(QUEUE)


@pytest.fixture
def relayed(inventory_settings: Settings) -> Iterator[None]:
    """inventory-relay, in a thread."""
    with at_work(partial(relay.run, inventory_settings)):
        yield


def test_an_event_is_a_cloudevent_that_carries_the_requests_ids(
    inventory: FlaskClient, taken: Callable[[int], list[dict[str, Any]]], relayed: None
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = {"X-Request-ID": "my-request", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    response = inventory.post(PRODUCTS, json=DVD, headers=sent)
    [event] = taken(1)
    properties = event.pop("properties")
    assert event.pop("key") == "product.created"
    assert event.pop("data") == content(response) == {"id": 1, **DVD}
    assert str(UUID(event["id"])) == event.pop("id") == properties.message_id
    assert datetime.fromisoformat(event.pop("time").replace("Z", "+00:00")).tzinfo is not None
    assert event == {
        "specversion": "1.0",
        "type": "product.created",
        "source": "inventory-api",
        "datacontenttype": "application/json",
    }
    assert properties.content_type == "application/cloudevents+json"
    assert properties.delivery_mode == 2
    assert properties.headers["X-Request-ID"] == "my-request"
    assert properties.headers["traceparent"].startswith(f"00-{trace}-")


def test_events_of_one_product_come_in_the_order_of_its_changes(
    inventory: FlaskClient, taken: Callable[[int], list[dict[str, Any]]], relayed: None
) -> None:
    app = inventory.application
    keys = [create(inventory, stock=0)["id"] for _ in range(3)]

    def add_one(number: int) -> int:
        return adjust(app.test_client(), keys[number % 3], 1).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(add_one, range(90))) == {200}
    events = taken(93)
    for key in keys:
        of_it = [event["data"]["stock"] for event in events if event["data"]["id"] == key]
        assert of_it == list(range(31))
