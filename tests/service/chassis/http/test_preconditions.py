"""If-Match and If-None-Match: who writes says what it has read (RFC 9110, section 13)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.answers import problem

BODIES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "movies": ("inventory", {"title": "Tron"}, {"title": "Tron: Legacy"}),
    "products": ("inventory", {"name": "Tron", "price": 5, "stock": 3}, {"price": 6}),
    "produits": ("inventory", {"name": "Tron", "price": 5, "stock": 3}, {"stock": 6}),
    "customers": ("customers", {"name": "Ann", "email": "ann@kawa.test"}, {"name": "Anna"}),
    "clients": ("customers", {"name": "Ann", "email": "ann@kawa.test"}, {"name": "Anna"}),
    "orders": ("orders", {"customer_id": "1", "total_amount": 5}, {"total_amount": 6}),
    "commandes": ("orders", {"customer_id": "1", "total_amount": 5}, {"total_amount": 6}),
}
STALE = '"000000000000000000000000"'


class Resource:
    """One resource, as its client sees it."""

    def __init__(self, client: FlaskClient, name: str) -> None:
        """Create it."""
        _service, new, self.change = BODIES[name]
        self.client = client
        self.collection = f"/api/{name}"
        self.made = client.post(self.collection, json=new)
        assert self.made.status_code == 201, self.made.text
        self.path = self.made.headers["Location"]

    def tag(self) -> str:
        """Its ETag of now."""
        return self.client.get(self.path).headers["ETag"]

    def put(self, **headers: str) -> TestResponse:
        """Change it."""
        return self.client.put(self.path, json=self.change, headers=_fields(headers))

    def delete(self, **headers: str) -> TestResponse:
        """Delete it."""
        return self.client.delete(self.path, headers=_fields(headers))


def _fields(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture(params=BODIES)
def resource(request: pytest.FixtureRequest) -> Resource:
    """One of each kind, under each of its names."""
    return Resource(request.getfixturevalue(BODIES[request.param][0]), request.param)


def test_a_write_with_the_current_tag_is_done_and_answers_with_the_new_one(
    resource: Resource,
) -> None:
    before = resource.tag()
    assert resource.made.headers["ETag"] == before
    changed = resource.put(If_Match=f"{STALE}, {before}")
    assert changed.status_code == 200
    assert changed.headers["ETag"] == resource.tag() != before
    assert resource.delete(If_Match=resource.tag()).status_code == 200


def test_a_write_with_a_stale_tag_is_412_and_changes_nothing(resource: Resource) -> None:
    tag = resource.tag()
    for stale in (STALE, f"W/{tag}"):
        for answer in (resource.put(If_Match=stale), resource.delete(If_Match=stale)):
            assert tag in problem(answer, 412)["detail"]
    for known in ("*", tag, f"W/{tag}", f"{STALE},{tag}"):
        problem(resource.put(If_Match=tag, If_None_Match=known), 412)
        problem(resource.delete(If_None_Match=known), 412)
    assert resource.tag() == tag


def test_conditions_that_hold_let_a_write_through(resource: Resource) -> None:
    assert resource.put(If_Match="*", If_None_Match=STALE).status_code == 200
    assert resource.delete(If_None_Match=STALE).status_code == 200


def test_reads_honour_both_conditions_on_pages_too(resource: Resource) -> None:
    for path in (resource.path, resource.collection, f"{resource.collection}?limit=1"):
        tag = resource.client.get(path).headers["ETag"]
        for method in ("GET", "HEAD"):
            for status, condition in (
                (200, {"If-Match": tag}),
                (412, {"If-Match": STALE}),
                (412, {"If-Match": STALE, "If-None-Match": tag}),
                (304, {"If-Match": tag, "If-None-Match": f"W/{tag}"}),
            ):
                answer = resource.client.open(path, method=method, headers=condition)
                assert answer.status_code == status
        refused = resource.client.get(path, headers={"If-Match": f"W/{tag}"})
        assert tag in problem(refused, 412)["detail"]


@pytest.mark.parametrize("field", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", ["", "abc", '"a" "b"', '"a', "*, *", 'w/"a"', '"a b"'])
def test_an_invalid_list_of_etags_is_400(inventory: FlaskClient, field: str, value: str) -> None:
    movie = Resource(inventory, "movies")
    for method in ("GET", "PUT", "DELETE"):
        body = movie.change if method == "PUT" else None
        answer = inventory.open(movie.path, method=method, json=body, headers={field: value})
        assert field in problem(answer, 400)["detail"]


def test_a_missing_resource_is_404_whatever_the_condition(resource: Resource) -> None:
    assert resource.delete().status_code == 200
    for condition in ({"If_Match": "*"}, {"If_Match": STALE}, {"If_None_Match": "*"}):
        problem(resource.put(**condition), 404)
        problem(resource.delete(**condition), 404)


def test_stock_is_set_only_with_the_current_etag(inventory: FlaskClient) -> None:
    product = Resource(inventory, "products")
    tag = product.tag()
    assert inventory.post(f"{product.path}/stock", json={"delta": -1}).status_code == 200
    without = inventory.put(product.path, json={"stock": 9, "price": 1})
    assert "/stock" in problem(without, 428)["detail"]
    problem(inventory.put(product.path, json={"stock": 9}, headers={"If-Match": tag}), 412)
    known = {"If-Match": product.tag()}
    assert inventory.put(product.path, json={"stock": 9}, headers=known).status_code == 200
    assert inventory.get(product.path).json["stock"] == 9  # type: ignore[index]


def test_adding_to_stock_honours_a_condition_too(inventory: FlaskClient) -> None:
    product = Resource(inventory, "products")
    stock, known = f"{product.path}/stock", {"If-Match": product.tag()}
    added = inventory.post(stock, json={"delta": 1}, headers=known)
    assert (added.status_code, added.headers["ETag"]) == (200, product.tag())
    problem(inventory.post(stock, json={"delta": 1}, headers=known), 412)


def test_an_order_is_found_by_its_order_id_and_moved_under_a_condition(orders: FlaskClient) -> None:
    order = Resource(orders, "orders")
    tag, name = order.tag(), order.made.json["order_id"]  # type: ignore[index]
    by_name = f"/api/orders/order/{name}"
    assert orders.get(by_name).headers["ETag"] == tag
    assert orders.get(by_name, headers={"If-None-Match": tag}).status_code == 304

    def move(known: str) -> TestResponse:
        return orders.put(f"{order.path}/status", json="processing", headers={"If-Match": known})

    problem(move(STALE), 412)
    moved = move(tag)
    assert (moved.status_code, moved.headers["ETag"]) == (200, order.tag())


def test_all_movies_are_not_deleted_under_a_condition(inventory: FlaskClient) -> None:
    movie = Resource(inventory, "movies")
    for condition in ({"If-Match": STALE}, {"If-None-Match": "*"}):
        problem(inventory.delete(movie.collection, headers=condition), 412)
    assert inventory.delete(movie.collection, headers={"If-Match": "*"}).json == {"deleted": 1}


def test_one_of_many_writers_with_the_same_etag_succeeds(resource: Resource) -> None:
    known = resource.tag()

    def put(client: FlaskClient) -> int:
        headers = {"If-Match": known}
        return client.put(resource.path, json=resource.change, headers=headers).status_code

    client: Callable[[], FlaskClient] = resource.client.application.test_client
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(put, [client() for _ in range(8)]))
    assert statuses == [200] + [412] * 7
