"""What is read is what was meant: names once, text in one form, refusals that stay short."""

import json
import unicodedata
from collections.abc import Mapping
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.answers import JSON, content, fields, problem

COMPOSED, DECOMPOSED = "Am\u00e9lie", "Ame\u0301lie"
NAME_TWICE = {
    "a movie": ("inventory", "/api/movies", '{"title": "A", "title": "B"}', "title"),
    "a product": ("inventory", "/api/products", '{"name": "A", "price": 1, "price": 2}', "price"),
    "a customer": (
        "customers",
        "/api/customers",
        '{"name": "A", "email": "a@kawa.fr", "email": "b@kawa.fr"}',
        "email",
    ),
    "an order": (
        "orders",
        "/api/orders",
        '{"customer_id": 1, "total_amount": 1, "total_amount": 100}',
        "total_amount",
    ),
    "an order's item": (
        "orders",
        "/api/orders",
        r'{"customer_id": 1, "items": [{"product_id": 1, "quantity": 1, "q\u0075antity": 9}]}',
        "items.0.quantity",
    ),
    "a bill": (
        "gateway",
        "/api/billing",
        '{"user_id": 1, "number_of_items": 1, "total_amount": 1, "total_amount": 2}',
        "total_amount",
    ),
    "an event": ("gateway", "/api/event/a/b/c", '{"a": {"x": 1, "x": 2}}', "a.x"),
}


@pytest.fixture
def services(
    inventory: FlaskClient, customers: FlaskClient, orders: FlaskClient, gateway: FlaskClient
) -> Mapping[str, FlaskClient]:
    """A client of each service that takes bodies."""
    return {
        "inventory": inventory,
        "customers": customers,
        "orders": orders,
        "gateway": gateway,
    }


def post(client: FlaskClient, path: str, data: str | bytes) -> TestResponse:
    """Post a body as it is."""
    return client.post(path, data=data, content_type=JSON)


@pytest.mark.parametrize("what", NAME_TWICE)
def test_a_repeated_name_is_a_422_that_names_it(
    services: Mapping[str, FlaskClient], what: str
) -> None:
    service, path, data, field = NAME_TWICE[what]
    answer = post(services[service], path, data)
    assert fields(answer) == [field]
    assert content(answer)["detail"] == f"{field}: must be given once"


@pytest.mark.parametrize("what", sorted(NAME_TWICE.keys() - {"an event"}))
def test_very_many_unknown_names_make_a_short_refusal(
    services: Mapping[str, FlaskClient], what: str
) -> None:
    service, path, _data, _field = NAME_TWICE[what]
    data = json.dumps({f"unknown{number}": 0 for number in range(50_000)})
    answer = post(services[service], path, data)
    document = problem(answer, 422)
    assert len(document["errors"]) == 10
    assert document["errors_left_out"] > 49_000
    assert len(answer.data) < 3_000


def test_a_name_of_nearly_a_mebibyte_is_shortened(inventory: FlaskClient) -> None:
    answer = post(inventory, "/api/movies", json.dumps({"title": "A", "x" * 1_000_000: 1}))
    assert [len(field) for field in fields(answer)] == [200]
    assert len(answer.data) < 1_000


@pytest.mark.parametrize("what", NAME_TWICE)
@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-8-sig", "byte order mark"), ("utf-16", "UTF-16"), ("utf-32-le", "UTF-32")],
)
def test_a_body_in_another_encoding_is_refused_naming_the_right_one(
    services: Mapping[str, FlaskClient], what: str, encoding: str, said: str
) -> None:
    service, path, data, _field = NAME_TWICE[what]
    document = problem(post(services[service], path, data.encode(encoding)), 400)
    assert said in document["detail"]


def test_a_movie_is_stored_and_found_in_nfc(inventory: FlaskClient) -> None:
    for title in (COMPOSED, DECOMPOSED):
        made = inventory.post("/api/movies", json={"title": title, "description": title})
        assert content(made)["title"] == content(made)["description"] == COMPOSED
    for title in (COMPOSED, DECOMPOSED):
        found = inventory.get(f"/api/movies?title={quote(title.upper())}")
        assert len(content(found)) == 2


def test_a_product_is_found_in_either_form(inventory: FlaskClient) -> None:
    inventory.post("/api/products", json={"name": DECOMPOSED, "price": 1})
    assert len(content(inventory.get(f"/api/products?name={quote(COMPOSED)}"))) == 1
    assert len(content(inventory.get(f"/api/products?name={quote(DECOMPOSED)}"))) == 1


def test_a_customer_is_found_in_either_form(customers: FlaskClient) -> None:
    made = customers.post(
        "/api/customers",
        json={"name": DECOMPOSED, "email": f"{DECOMPOSED}@kawa.fr", "company": DECOMPOSED},
    )
    assert content(made)["company"] == COMPOSED
    for form in (COMPOSED, DECOMPOSED):
        assert len(content(customers.get(f"/api/customers?name={quote(form)}"))) == 1
        assert len(content(customers.get(f"/api/customers?email={quote(form)}@kawa.fr"))) == 1


def test_an_order_is_the_same_whatever_form_its_ids_have(orders: FlaskClient) -> None:
    order = {"order_id": DECOMPOSED, "customer_id": DECOMPOSED, "total_amount": 1}
    assert orders.post("/api/orders", json=order).status_code == 201
    again = orders.post("/api/orders", json={**order, "order_id": COMPOSED})
    assert again.status_code == 409
    for form in (COMPOSED, DECOMPOSED):
        assert content(orders.get(f"/api/orders/order/{quote(form)}"))["order_id"] == COMPOSED
        assert len(content(orders.get(f"/api/orders/customer/{quote(form)}"))) == 1
        assert len(content(orders.get(f"/api/orders?order_id={quote(form)}"))) == 1


def test_event_data_stay_as_sent(gateway: FlaskClient) -> None:
    answer = gateway.post("/api/event/a/b/c", json={"name": DECOMPOSED})
    assert content(answer)["event_data"] == {"name": DECOMPOSED}
    assert unicodedata.normalize("NFC", DECOMPOSED) == COMPOSED


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("inventory", "/api/movies/abc"),
        ("orders", "/api/orders/abc"),
        ("customers", "/api/customers/abc"),
    ],
)
def test_an_invalid_id_is_refused_with_the_definition_of_an_id(
    services: Mapping[str, FlaskClient], service: str, path: str
) -> None:
    answer = services[service].get(path)
    assert content(answer)["detail"] == (
        "id: must be a whole number from 1 to 9,223,372,036,854,775,807"
    )
