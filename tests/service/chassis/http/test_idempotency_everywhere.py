"""Idempotency-Key: each POST of each service takes it, and a repetition has no second effect."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from chassis.http import idempotency
from chassis.storage.database import Database
from tests.support.answers import content, fields

SERVICES = {
    "gateway": "gateway_db",
    "inventory": "movies_db",
    "billing": "billing_db",
    "customers": "customers_db",
    "orders": "orders_db",
}
MOVIE = {"title": "The Matrix"}
PRODUCT = {"name": "The Matrix, DVD", "price": 9.99, "stock": 25}
CUSTOMER = {"name": "Anna", "email": "anna@kawa.fr"}
BILL = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}


@dataclass(frozen=True)
class Post:
    """A POST route, a request that it takes, and a query that counts its effect."""

    service: str
    rule: str
    body: dict[str, Any]
    effect: str
    path: str | None = None

    def send(self, client: FlaskClient, key: str = "key-1", **headers: str) -> TestResponse:
        """Send the request."""
        named = {idempotency.HEADER: key, **headers}
        return client.post(self.path or self.rule, json=self.body, headers=named)


def _both(service: str, first: str, second: str, *rest: Any) -> list[Post]:
    return [Post(service, f"/api/{name}", *rest) for name in (first, second)]


def _stock(name: str) -> Post:
    effect = "SELECT stock FROM products WHERE id = 1"
    rule = f"/api/{name}/<product_id>/stock"
    return Post("inventory", rule, {"delta": 5}, effect, f"/api/{name}/1/stock")


def _event(name: str) -> Post:
    rule = f"/api/{name}/<solution>/<model>/<action>"
    effect = "SELECT count(*) FROM events"
    return Post("gateway", rule, {"order": 1}, effect, f"/api/{name}/shop/order/create")


POSTS = [
    Post("gateway", "/api/billing", BILL, "SELECT count(*) FROM outbox"),
    _event("events"),
    _event("event"),
    Post("inventory", "/api/movies", MOVIE, "SELECT count(*) FROM movies"),
    *_both("inventory", "products", "produits", PRODUCT, "SELECT count(*) FROM products"),
    _stock("products"),
    _stock("produits"),
    *_both("customers", "customers", "clients", CUSTOMER, "SELECT count(*) FROM customers"),
    *_both(
        *("orders", "orders", "commandes", {"customer_id": "1", "total_amount": 5}),
        "SELECT count(*) FROM orders",
    ),
]
OTHER_NAMES = [
    (first, second)
    for first in POSTS
    for second in POSTS
    if first is not second and (first.service, first.effect) == (second.service, second.effect)
]
OWN_TABLES = [post for post in POSTS if post.service in ("inventory", "customers")]
OWN_TABLES += [_event("events")]


@dataclass(frozen=True)
class World:
    """A service and its database."""

    client: FlaskClient
    database: Database

    def count(self, post: Post) -> int:
        """Count the effect of a POST."""
        with self.database.autocommit() as connection:
            return int(connection.execute(text(post.effect)).scalar_one())

    def change(self, statement: str) -> None:
        """Change the database behind the service's back."""
        with self.database.autocommit() as connection:
            connection.execute(text(statement))


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Callable[[Post], World]:
    """Start the service of a POST; there is one product where there are products."""

    def started(post: Post) -> World:
        client = request.getfixturevalue(post.service)
        database = request.getfixturevalue(SERVICES[post.service])
        if "stock" in post.rule:
            assert client.post("/api/products", json=PRODUCT).status_code == 201
        return World(client, database)

    return started


def ids(post: Post) -> str:
    """Name a case."""
    return f"{post.service} {post.rule}"


def posts_of(app: Flask) -> set[str]:
    """The POST routes that an app answers by itself, rather than passes on."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api")]
    return {rule.rule for rule in rules if rule.methods and "POST" in rule.methods}


@pytest.mark.parametrize("service", SERVICES)
def test_these_tests_cover_every_post(service: str, request: pytest.FixtureRequest) -> None:
    client: FlaskClient = request.getfixturevalue(service)
    tried = {post.rule for post in POSTS if post.service == service}
    assert posts_of(client.application) == tried


@pytest.mark.parametrize("post", POSTS, ids=ids)
def test_a_repeated_post_gets_the_first_answer_and_has_no_second_effect(
    post: Post, world: Callable[[Post], World]
) -> None:
    service = world(post)
    before = service.count(post)
    first = post.send(service.client)
    after = service.count(post)
    second = post.send(service.client)
    assert first.status_code in (200, 201, 202), first.text
    assert idempotency.REPLAYED not in first.headers
    assert second.headers[idempotency.REPLAYED] == "true"
    assert (second.status_code, second.data) == (first.status_code, first.data)
    assert second.headers.get("Location") == first.headers.get("Location")
    assert second.headers.get("ETag") == first.headers.get("ETag")
    assert before != after == service.count(post)


@pytest.mark.parametrize("post", POSTS, ids=ids)
def test_a_key_that_came_with_another_body_is_refused(
    post: Post, world: Callable[[Post], World]
) -> None:
    service = world(post)
    post.send(service.client)
    after = service.count(post)
    answer = service.client.post(
        post.path or post.rule, json={}, headers={idempotency.HEADER: "key-1"}
    )
    assert fields(answer) == [idempotency.HEADER]
    assert service.count(post) == after


@pytest.mark.parametrize("names", OTHER_NAMES, ids=lambda names: names[0].rule)
def test_two_names_of_one_resource_share_their_keys(
    names: tuple[Post, Post], world: Callable[[Post], World]
) -> None:
    first, second = names
    service = world(first)
    assert first.send(service.client).status_code < 300
    after = service.count(first)
    assert second.send(service.client).headers[idempotency.REPLAYED] == "true"
    assert service.count(first) == after


@pytest.mark.parametrize("post", POSTS, ids=ids)
def test_the_same_key_from_another_address_is_another_request(
    post: Post, world: Callable[[Post], World]
) -> None:
    service = world(post)
    for address in ("198.51.100.1", "198.51.100.2"):
        answer = service.client.post(
            post.path or post.rule,
            json=post.body,
            headers={idempotency.HEADER: "key-1", "X-Forwarded-For": address},
            environ_base={"REMOTE_ADDR": address},
        )
        assert idempotency.REPLAYED not in answer.headers


@pytest.mark.parametrize("post", OWN_TABLES, ids=ids)
def test_an_answer_is_stored_with_its_effect_whatever_dies_afterwards(
    post: Post, world: Callable[[Post], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = world(post)
    # the worker ends once the effect is committed: nothing is written from then on
    monkeypatch.setattr(idempotency, "_store_or_release", lambda *_: None)
    first = post.send(service.client)
    after = service.count(post)
    service.change("UPDATE idempotency_keys SET claimed_at = claimed_at - interval '2 minutes'")
    second = post.send(service.client)
    assert (second.status_code, second.data) == (first.status_code, first.data)
    assert second.headers[idempotency.REPLAYED] == "true"
    assert service.count(post) == after


@pytest.mark.parametrize("post", OWN_TABLES, ids=ids)
def test_a_request_that_lost_its_claim_has_no_effect(
    post: Post, world: Callable[[Post], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = world(post)
    before = service.count(post)
    claim = idempotency._claim

    def lost(*arguments: Any) -> Any:
        earlier = claim(*arguments)
        service.change("UPDATE idempotency_keys SET claim = gen_random_uuid()")
        return earlier

    monkeypatch.setattr(idempotency, "_claim", lost)
    assert post.send(service.client).status_code == 409
    assert service.count(post) == before


def test_an_idempotency_key_is_valid_for_one_product(
    inventory: FlaskClient, movies_db: Database
) -> None:
    for _ in range(2):
        assert inventory.post("/api/products", json=PRODUCT).status_code == 201
    headers = {idempotency.HEADER: "key-1"}
    for product_id in (1, 2):
        path = f"/api/products/{product_id}/stock"
        answer = inventory.post(path, json={"delta": 1}, headers=headers)
        product = content(answer)
        assert (product["id"], product["stock"]) == (product_id, 26)


@pytest.mark.parametrize("length", [0, 5_000])
def test_a_long_path_or_a_nul_in_it_is_refused_with_a_key_as_without(
    length: int, inventory: FlaskClient
) -> None:
    path = f"/api/products/{'1' * length or '%00'}/stock"
    answer = inventory.post(path, json={"delta": 1}, headers={idempotency.HEADER: "key-1"})
    assert fields(answer) == ["id"]


def test_an_event_that_is_too_long_is_refused_with_a_key_as_without(gateway: FlaskClient) -> None:
    body = b'{"text": "%s"}' % (b"x" * 262_144)
    headers = {idempotency.HEADER: "key-1", "Content-Type": "application/json"}
    for _ in range(2):
        answer = gateway.post("/api/events/shop/order/create", data=body, headers=headers)
        assert answer.status_code == 413
        assert idempotency.REPLAYED not in answer.headers


def test_an_event_is_stored_once_even_if_its_claim_is_forgotten(
    gateway: FlaskClient, gateway_db: Database
) -> None:
    post = _event("events")
    first = post.send(gateway)
    with gateway_db.autocommit() as connection:
        connection.execute(text("DELETE FROM idempotency_keys"))
    second = post.send(gateway)
    assert (second.status_code, second.json) == (201, first.json)
    with gateway_db.autocommit() as connection:
        for table in ("events", "outbox"):
            count = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            assert count == 1
