"""openapi.yaml says what the code does: the same routes, and examples that fit."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV30SpecValidator
from pydantic import SecretStr

from billing.app import create_app as create_billing
from billing.settings import Settings as BillingSettings
from chassis.errors import InvalidError
from chassis.idempotency import Key, fingerprint
from chassis.identity import ANONYMOUS
from chassis.parsing import decoded, validated
from chassis.publisher import Publisher
from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    EventSettings,
    PortSettings,
    ServerSettings,
    Upstream,
)
from customers.app import create_app as create_customers
from customers.schemas import CustomerChange, NewCustomer
from customers.settings import Settings as CustomersSettings
from gateway.app import create_app as create_gateway
from gateway.schemas import NewBill
from gateway.scopes import CLASSES
from gateway.settings import AuthSettings
from gateway.settings import Settings as GatewaySettings
from inventory.app import create_app as create_inventory
from inventory.schemas import MovieChange, NewMovie, NewProduct, ProductChange, StockChange
from inventory.settings import Settings as InventorySettings
from orders.app import create_app as create_orders
from orders.mail_settings import MailSettings
from orders.schemas import OrderChange, new_order, status_change
from orders.settings import Settings as OrdersSettings
from tests import openapi

SECRET = SecretStr("secret")
SERVER, PORT = ServerSettings(workers=1, threads=1), PortSettings(port=8080)
DATABASE = DatabaseSettings(name="db", user="user", password=SECRET)
BROKER = BrokerSettings(
    host="127.0.0.1", user="user", password=SECRET, vhost="vhost", queue="billing_queue"
)
INVENTORY_API, BILLING_API, CUSTOMERS_API, ORDERS_API = (
    Upstream(f"{name}-api", "127.0.0.1", 8080)
    for name in ("inventory", "billing", "customers", "orders")
)
OPERATIONS = openapi.operations()
READERS: dict[str, Callable[[Any], object]] = {
    **{
        schema.__name__: partial(validated, schema)
        for schema in (
            *(NewMovie, MovieChange, NewProduct, ProductChange, StockChange, NewBill),
            *(NewCustomer, CustomerChange, OrderChange),
        )
    },
    "NewOrder": new_order,
    "StatusChange": status_change,
}
BILL = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}
MOVIES: list[object] = [
    *({"title": title} for title in ("x", "x" * 255, "x" * 256, "", "  ", 1, None)),
    *({"title": "x", "description": text} for text in ("", "x" * 10_001, None, 1)),
    *({"title": "x", "year": 1999}, {"description": "x"}, {"description": None}, {}, [], "x"),
]
BILLS: list[object] = [
    *(BILL | {"user_id": user} for user in (20, "x" * 64, "x" * 65, "", True, None, 1.5)),
    *(BILL | {"number_of_items": n} for n in (1, 2**31 - 1, 2**31, 0, -1, 1.5, True)),
    *(BILL | {"number_of_items": n} for n in ("5", "007", "0", "-1", "1.0", "x", "")),
    *(BILL | {"total_amount": a} for a in (0, 180, 9999999999.99, 1e10, -1, True, None)),
    *(BILL | {"total_amount": a} for a in ("180", "0.10", "1.500", "1.555", "1.", "x")),
    *(BILL, BILL | {"order_id": "x"}, {"user_id": 1}, {}, [], "x"),
]
CUSTOMER: dict[str, object] = {"name": "Benjamin", "email": "ben@kawa.fr"}
CUSTOMERS: list[object] = [
    *(CUSTOMER | {"name": name} for name in ("x" * 255, "x" * 256, "", "  ", 1, None)),
    *(CUSTOMER | {"email": email} for email in ("x@y.fr", "ben", "", 1, None)),
    *(CUSTOMER | {"company": text} for text in ("", "x" * 255, "x" * 256, 1, None)),
    *(CUSTOMER | {"phone": phone} for phone in ("+33 (0)6.01-02", "06x", "0" * 33, "", 6, None)),
    *(CUSTOMER, CUSTOMER | {"age": 1}, {"name": "x"}, {"email": "ben@kawa.fr"}, {}, [], "x"),
]
PRODUCT: dict[str, object] = {"name": "The Matrix, DVD", "price": 9.99}
AMOUNTS: tuple[object, ...] = (
    *(0, 180, 9999999999.99, 1e10, -1, True),
    *("180", " +0.10 ", "1.555", "10000000000", "x", "", [1], None),
)
IDS: tuple[object, ...] = (
    *(1, 0, -1, 2**63 - 1, 2**63),
    *("1", "007", "0", "x", "", 1.5, True, [1], None),
)
PRODUCTS: list[object] = [
    *(PRODUCT | {"name": name} for name in ("x" * 255, "x" * 256, "", "  ", "a\0b", 1, None)),
    *(PRODUCT | {"description": text} for text in ("", "x" * 10_001, "\0", None, 1)),
    *(PRODUCT | {"price": price} for price in AMOUNTS),
    *(PRODUCT | {"stock": n} for n in (0, 2**31 - 1, 2**31, -1, 1.5, " 5 ", "-1", True, None)),
    *(PRODUCT | {"movie_id": key} for key in IDS),
    *(PRODUCT, PRODUCT | {"id": 1}, {"name": "x"}, {"price": 1}, {"stock": "x"}, {}, [], "x"),
]
STOCK: list[object] = [
    *({"delta": n} for n in (1, -1, 0, 2**31 - 1, 2**31, 1 - 2**31, -(2**31), 1.5, True, None)),
    *({"delta": n} for n in ("5", "-5", "+5", "0", "00", "five", "", [5])),
    *({"delta": 1, "stock": 1}, {"stock": 1}, {}, [], 5),
]
ITEM: dict[str, object] = {"product_id": 1, "quantity": 2}
BARE_ORDER: dict[str, object] = {"customer_id": "CLIENT123", "total_amount": 150.5}
ORDER_WITH_ITEMS: dict[str, object] = {"customer_id": "1", "items": [ITEM, ITEM]}
REFERENCES: tuple[object, ...] = (
    *("x" * 50, "x" * 51, "", " ", "a\0b", 1, 1.5, True, None),
    *(10**50 - 1, 10**50, 1 - 10**49, -(10**49)),
)
STATES: tuple[object, ...] = (
    *("pending", "processing", "completed", "cancelled"),
    *("new", "Pending", "", 5, None),
)
ITEMS: list[object] = [
    *([ITEM | {"product_id": key}] for key in IDS),
    *(
        [ITEM | {"quantity": n}]
        for n in (1_000_000, 1_000_001, 0, "1000000", "1000001", True, None)
    ),
    *([ITEM | {"price": 1}], [{"product_id": 1}], [{"quantity": 1}], [1], [], {}, "x", None),
    *([ITEM] * 100, [ITEM] * 101),
]
OF_EITHER_KIND: list[dict[str, object]] = [
    *({"customer_id": reference} for reference in REFERENCES),
    *({"order_id": reference} for reference in REFERENCES),
    *({"total_amount": amount} for amount in AMOUNTS),
    *({"status": status} for status in STATES),
    {"id": 1},
    {"reason": "x"},
    {},
]
ORDERS: list[object] = [
    *(order | change for order in (BARE_ORDER, ORDER_WITH_ITEMS) for change in OF_EITHER_KIND),
    *(ORDER_WITH_ITEMS | {"items": items} for items in ITEMS),
    *({"customer_id": "1"}, {"total_amount": 1}, {"items": [ITEM]}, {}, [], "x", None),
]
ORDER_CHANGES: list[object] = [
    *({"customer_id": reference} for reference in REFERENCES),
    *({"order_id": reference} for reference in REFERENCES),
    *({"total_amount": amount} for amount in AMOUNTS),
    *(BARE_ORDER, {"status": "pending"}, {"id": 1}, {}, [], "x", None),
]
MOVES: list[object] = [
    *STATES,
    *({"status": status} for status in STATES),
    *({"status": "pending", "reason": "x"}, {"state": "pending"}, {}, [], ["pending"], True),
]
BODIES = [
    *(("NewCustomer", body) for body in CUSTOMERS),
    *(("CustomerChange", body) for body in CUSTOMERS),
    *(("NewProduct", body) for body in PRODUCTS),
    *(("ProductChange", body) for body in PRODUCTS),
    *(("StockChange", body) for body in STOCK),
    *(("NewOrder", body) for body in ORDERS),
    *(("OrderChange", body) for body in ORDER_CHANGES),
    *(("StatusChange", body) for body in MOVES),
    *(("NewMovie", body) for body in MOVIES),
    *(("MovieChange", body) for body in MOVIES),
    *(("NewBill", body) for body in BILLS),
]
OTHER_NAMES = {
    "/api/produits": "/api/products",
    "/api/clients": "/api/customers",
    "/api/commandes": "/api/orders",
    "/api/event": "/api/events",
}
# what pages load, which is no part of the API
FILES = {("/static/{}", "get"), ("/docs/{}", "get")}
PROTECTED = [operation for operation in OPERATIONS if operation.protected]
Routes = set[tuple[str, str]]


@pytest.fixture(scope="module")
def gateway() -> Flask:
    """The gateway's application; nothing behind it runs."""
    upstreams = (INVENTORY_API, BILLING_API, CUSTOMERS_API, ORDERS_API)
    settings = GatewaySettings(SERVER, PORT, PORT, DATABASE, BROKER, *upstreams, AuthSettings())
    return create_gateway(settings, Publisher(BROKER, "test", []))


@pytest.fixture(scope="module")
def upstreams() -> list[Flask]:
    """The applications behind the gateway."""
    ports, mail = (PORT, PORT, PORT), MailSettings(mail_dir=Path("mail"))
    others = (INVENTORY_API, CUSTOMERS_API)
    return [
        create_inventory(InventorySettings(SERVER, *ports, DATABASE, BROKER)),
        create_billing(BillingSettings(SERVER, *ports, DATABASE, BROKER)),
        create_customers(CustomersSettings(SERVER, PORT, PORT, DATABASE, BROKER, EventSettings())),
        create_orders(OrdersSettings(SERVER, PORT, *ports, DATABASE, BROKER, *others, mail)),
    ]


def routes(app: Flask) -> Routes:
    """Path and method of each route; those for any method are another service's to know."""
    return {
        (_anonymous(_main_name(rule.rule)), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }


def public(found: Routes) -> Routes:
    """Without health, which each process has for itself."""
    return {(path, method) for path, method in found if path.startswith("/api/")}


def documented() -> Routes:
    """Path and method of each operation."""
    return {(_anonymous(operation.path), operation.method) for operation in OPERATIONS}


def is_documented(name: str, body: object) -> bool:
    """Whether a body fits a schema of the document."""
    document = openapi.raw()
    schema = openapi.resolved(document["components"]["schemas"][name], document)
    return bool(openapi.validator(schema).is_valid(body))


def is_taken(name: str, body: object) -> bool:
    """Whether the code takes a body, read as it would be."""
    try:
        READERS[name](decoded(json.dumps(body).encode()))
    except InvalidError:
        return False
    return True


def _main_name(path: str) -> str:
    """A path under the first of a resource's two names, which is the one that is documented."""
    for other, name in OTHER_NAMES.items():
        if f"{path}/".startswith(f"{other}/"):
            return path.replace(other, name, 1)
    return path


def _anonymous(path: str) -> str:
    """A path whose parameters have no names."""
    return re.sub(r"<[^>]*>|\{[^}]*\}", "{}", path)


def media_types() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each place in the document that has a schema and should have an example."""
    for operation in OPERATIONS:
        for body in operation.bodies.values():
            yield f"{operation.id} body", body
        for parameter in operation.parameters:
            yield f"{operation.id} {parameter['name']}", parameter
        for status, response in operation.responses.items():
            yield from _of_response(f"{operation.id} {status}", response)


def _of_response(name: str, response: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for content in response["content"].values():
        yield name, content
    for header, holder in response["headers"].items():
        yield f"{name} {header}", holder


def _named(pairs: Iterable[tuple[str, dict[str, Any]]]) -> list[Any]:
    return [pytest.param(holder, id=name) for name, holder in pairs]


def test_the_document_is_valid() -> None:
    OpenAPIV30SpecValidator(openapi.raw()).validate()


def test_every_route_is_documented_and_every_operation_exists(
    gateway: Flask, upstreams: list[Flask]
) -> None:
    behind = {route for app in upstreams for route in public(routes(app))}
    assert routes(gateway) >= FILES
    assert documented() == (routes(gateway) - FILES) | behind


@pytest.mark.parametrize(("other", "name"), OTHER_NAMES.items())
def test_a_resources_two_names_lead_to_the_same(
    gateway: Flask, upstreams: list[Flask], other: str, name: str
) -> None:
    rules = {rule.rule for app in (gateway, *upstreams) for rule in app.url_map.iter_rules()}
    of_name = {rule for rule in rules if f"{rule}/".startswith(f"{name}/")}
    assert of_name
    assert {rule.replace(name, other, 1) for rule in of_name} <= rules


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
@pytest.mark.parametrize("end", ["", "/"])
def test_the_gateway_lets_every_operation_in(
    gateway: Flask, operation: openapi.Operation, end: str
) -> None:
    path = operation.path.replace("{id}", "1").rstrip("/") + (end if operation.path != "/" else "/")
    gateway.url_map.bind("localhost").match(path, operation.method.upper())


@pytest.mark.parametrize("holder", _named(media_types()))
def test_every_example_fits_its_schema(holder: dict[str, Any]) -> None:
    for example in openapi.examples(holder).values():
        openapi.validator(holder["schema"]).validate(example)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_every_body_has_an_example(operation: openapi.Operation) -> None:
    answers = [c for r in operation.responses.values() for c in r["content"].values()]
    for content in [*operation.bodies.values(), *answers]:
        assert openapi.examples(content)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_every_problem_shows_its_own_status(operation: openapi.Operation) -> None:
    for status, response in operation.responses.items():
        problem = response["content"].get("application/problem+json", {})
        for example in openapi.examples(problem).values():
            assert example["status"] == int(status)


@pytest.mark.parametrize(("name", "body"), BODIES, ids=lambda value: f"{value}"[:60])
def test_the_document_takes_the_bodies_that_the_code_takes(name: str, body: object) -> None:
    assert is_documented(name, body) == is_taken(name, body)


def test_what_is_protected_by_default_is_what_the_document_says() -> None:
    default = AuthSettings().auth_protected
    assert {operation.path.split("/")[2] for operation in PROTECTED} == default
    for operation in OPERATIONS:
        resource = operation.path.split("/")[2] if operation.path.startswith("/api/") else None
        assert operation.protected == (resource in default)
        assert ({"401", "403"} <= operation.responses.keys()) == (resource in CLASSES)


@pytest.mark.parametrize("operation", PROTECTED, ids=lambda operation: operation.id)
@pytest.mark.parametrize(
    ("example", "headers"), [("missing", {}), ("invalid", {"Authorization": "Bearer"})]
)
def test_without_a_token_the_answer_is_the_example_of_the_document(
    gateway: Flask, operation: openapi.Operation, example: str, headers: dict[str, str]
) -> None:
    path = operation.path.replace("{id}", "1")
    answer = gateway.test_client().open(path, method=operation.method, headers=headers)
    said = operation.responses["401"]
    shown = openapi.examples(said["content"]["application/problem+json"])[example]
    assert json.loads(answer.data) | {"request_id": shown["request_id"]} == shown
    challenge = said["headers"]["WWW-Authenticate"]["schema"]
    openapi.validator(challenge).validate(answer.headers["WWW-Authenticate"])


def test_operations_have_names_of_their_own_and_words_to_explain_them() -> None:
    said = [item for path in openapi.raw()["paths"].values() for item in path.values()]
    operations = [item for item in said if isinstance(item, dict)]
    assert len({item["operationId"] for item in operations}) == len(operations)
    assert all(item["summary"] and item["description"] and item["tags"] for item in operations)


def test_the_example_of_a_bills_id_is_the_id_that_the_example_of_a_key_gives() -> None:
    named = {operation.id: operation for operation in OPERATIONS}
    example = {p["name"]: p["example"] for p in named["postBill"].parameters if "example" in p}
    body = json.dumps(BILL, indent=2).encode()
    key = Key(ANONYMOUS, "POST /api/billing", example["Idempotency-Key"], fingerprint(body))
    shown = next(p for p in named["getBill"].parameters if p["name"] == "id")
    assert shown["example"] == str(key.message_id)
