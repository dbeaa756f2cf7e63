"""openapi.yaml says what the code does: the same routes, and examples that fit."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV30SpecValidator
from pydantic import SecretStr

from billing.app import create_app as create_billing
from billing.settings import Settings as BillingSettings
from chassis.http.caller import ANONYMOUS, scope
from chassis.http.idempotency import fingerprint
from chassis.messaging.publisher import Publisher
from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    EventSettings,
    PortSettings,
    ServerSettings,
    Upstream,
)
from chassis.storage.idempotency_keys import RequestKey
from customers.app import create_app as create_customers
from customers.settings import Settings as CustomersSettings
from gateway.app import create_app as create_gateway
from gateway.auth.scopes import CLASSES
from gateway.edge.settings import EdgeSettings
from gateway.settings import AuthSettings
from gateway.settings import Settings as GatewaySettings
from inventory.app import create_app as create_inventory
from inventory.settings import Settings as InventorySettings
from orders.app import create_app as create_orders
from orders.mail.settings import MailSettings
from orders.settings import Settings as OrdersSettings
from tests.support import openapi

SECRET = SecretStr("secret")
SERVER, PORT = ServerSettings(workers=1, threads=1), PortSettings(port=8080)
DATABASE = DatabaseSettings(name="db", user="user", password=SECRET)
BROKER = BrokerSettings(
    host="127.0.0.1", user="user", password=SECRET, vhost="vhost", queue="billing_queue"
)
COMMON = (SERVER, PORT, PORT, DATABASE, BROKER)
INVENTORY_API, BILLING_API, CUSTOMERS_API, ORDERS_API = (
    Upstream(f"{name}-api", "127.0.0.1", 8080)
    for name in ("inventory", "billing", "customers", "orders")
)
OPERATIONS = openapi.operations()
BILL = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}
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


def gateway_settings() -> GatewaySettings:
    """The gateway's configuration; nothing behind it runs."""
    return GatewaySettings(
        *COMMON,
        inventory=INVENTORY_API,
        billing=BILLING_API,
        customers=CUSTOMERS_API,
        orders=ORDERS_API,
        auth=AuthSettings(),
    )


@pytest.fixture(scope="module")
def gateway() -> Flask:
    """The gateway's application; nothing behind it runs."""
    return create_gateway(gateway_settings(), Publisher(BROKER, "test", []))


@pytest.fixture(scope="module")
def refusing() -> FlaskClient:
    """A client of a gateway that answers to one host besides localhost."""
    settings = replace(gateway_settings(), edge=EdgeSettings(allowed_hosts=("api.example.org",)))
    return create_gateway(settings, Publisher(BROKER, "test", [])).test_client()


@pytest.fixture(scope="module")
def upstreams() -> list[Flask]:
    """The applications behind the gateway."""
    orders = OrdersSettings(
        *COMMON,
        consumer_port=PORT,
        mail_port=PORT,
        inventory=INVENTORY_API,
        customers=CUSTOMERS_API,
        mail=MailSettings(mail_dir=Path("mail")),
    )
    return [
        create_inventory(InventorySettings(*COMMON, consumer_port=PORT)),
        create_billing(BillingSettings(*COMMON, consumer_port=PORT)),
        create_customers(CustomersSettings(*COMMON, events=EventSettings())),
        create_orders(orders),
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


def _main_name(path: str) -> str:
    """A path under the first of a resource's two names, which is the one that is documented."""
    for other, name in OTHER_NAMES.items():
        if f"{path}/".startswith(f"{other}/"):
            return path.replace(other, name, 1)
    return path


def _anonymous(path: str) -> str:
    """A path whose parameters have no names."""
    return re.sub(r"<[^>]*>|\{[^}]*\}", "{}", path)


def holders(operation: openapi.Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each place of an operation that has a schema and may have examples, and its name."""
    for body in operation.bodies.values():
        yield "body", body
    for parameter in operation.parameters:
        yield parameter["name"], parameter
    for status, response in operation.responses.items():
        for content in response.get("content", {}).values():
            yield status, content
        for header, holder in response["headers"].items():
            yield f"{status} {header}", holder


def wrong_examples(operation: openapi.Operation) -> Iterator[str]:
    """What of an operation's examples does not fit its schema."""
    for name, holder in holders(operation):
        for example in openapi.examples(holder).values():
            for error in openapi.validator(holder["schema"]).iter_errors(example):
                yield f"{name}: {error.message}"


of_each_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=lambda operation: operation.id
)


@of_each_operation
def test_no_optional_parameter_has_an_example_that_clients_would_send(
    operation: openapi.Operation,
) -> None:
    for parameter in operation.parameters:
        if not parameter.get("required"):
            assert not {"example", "examples"} & parameter.keys(), parameter["name"]
            assert "example" not in parameter["schema"], parameter["name"]


def test_no_name_stands_twice_in_a_mapping_of_the_document() -> None:
    # PyYAML takes the last one; Postman refuses the document
    def repeated(node: yaml.Node | None) -> Iterator[str]:
        if isinstance(node, yaml.MappingNode):
            names = [name.value for name, _value in node.value]
            yield from (f"{name} at {node.start_mark}" for name in names if names.count(name) > 1)
            children = [value for _name, value in node.value]
        else:
            children = node.value if isinstance(node, yaml.SequenceNode) else []
        for child in children:
            yield from repeated(child)

    assert not list(repeated(yaml.compose(openapi.FILE.read_text())))


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


@of_each_operation
def test_the_gateway_accepts_every_operation(gateway: Flask, operation: openapi.Operation) -> None:
    path = operation.path.replace("{id}", "1").rstrip("/")
    for end in ["", "/"] if path else ["/"]:
        gateway.url_map.bind("localhost").match(path + end, operation.method.upper())


@of_each_operation
def test_every_example_fits_its_schema(operation: openapi.Operation) -> None:
    assert list(wrong_examples(operation)) == []


@of_each_operation
def test_every_body_has_an_example(operation: openapi.Operation) -> None:
    answers = [c for r in operation.responses.values() for c in r.get("content", {}).values()]
    for content in [*operation.bodies.values(), *answers]:
        assert openapi.examples(content)


@of_each_operation
def test_every_problem_shows_its_own_status(operation: openapi.Operation) -> None:
    for status, response in operation.responses.items():
        problem = response.get("content", {}).get("application/problem+json", {})
        for example in openapi.examples(problem).values():
            assert example["status"] == int(status)


@of_each_operation
def test_every_possible_problem_is_documented(operation: openapi.Operation) -> None:
    places = {parameter["in"] for parameter in operation.parameters}
    needs_peers = operation.path.startswith("/api/") and operation.path != "/api/status"
    expected = {"400", "421"} | ({"503"} if needs_peers else set())
    expected |= {"413", "415", "422"} if operation.bodies else set()
    expected |= {"422"} if places & {"path", "query"} else set()
    expected |= {"429"} if operation.path != "/live" else set()
    assert expected <= operation.responses.keys()


@pytest.mark.parametrize(
    ("status", "example", "headers", "body"),
    [
        ("400", "", {"Content-Type": "application/json"}, b""),
        ("413", "", {"Content-Type": "application/json"}, b"x" * (1024 * 1024 + 1)),
        ("415", "type", {"Content-Type": "text/plain"}, b"{}"),
        (
            "415",
            "encoding",
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
            b"{}",
        ),
        ("421", "", {"Host": "example.org"}, b""),
    ],
)
def test_the_example_of_a_refused_request_is_the_answer(
    refusing: FlaskClient, status: str, example: str, headers: dict[str, str], body: bytes
) -> None:
    (operation,) = (operation for operation in OPERATIONS if operation.id == "postBill")
    answer = refusing.post(operation.path, data=body, headers=headers)
    said = operation.responses[status]
    shown = openapi.examples(said["content"]["application/problem+json"])[example]
    assert json.loads(answer.data) | {"request_id": shown["request_id"]} == shown
    sent = {"Accept-Encoding"} & set(answer.headers.keys())
    assert sent == ({"Accept-Encoding"} if example == "encoding" else set())
    for name in sent:
        openapi.validator(said["headers"][name]["schema"]).validate(answer.headers[name])


def links() -> Iterator[Any]:
    """Each link, with the fields of the answer that it leads from."""
    for source in OPERATIONS:
        for response in source.responses.values():
            for link in response.get("links", {}).values():
                (content,) = response["content"].values()
                name = f"{source.id} {link['operationId']}"
                yield pytest.param(link, content["schema"]["required"], id=name)


@pytest.mark.parametrize(("link", "fields"), list(links()))
def test_every_link_leads_from_a_field_to_a_parameter(link: Any, fields: list[str]) -> None:
    (target,) = (operation for operation in OPERATIONS if operation.id == link["operationId"])
    ((parameter, origin),) = link["parameters"].items()
    assert parameter in {known["name"] for known in target.parameters}
    assert origin.removeprefix("$response.body#/") in fields


def test_the_document_has_the_classes_that_are_protected_by_default() -> None:
    default = AuthSettings().auth_protected
    assert {operation.path.split("/")[2] for operation in PROTECTED} == default
    for operation in OPERATIONS:
        resource = operation.path.split("/")[2] if operation.path.startswith("/api/") else None
        assert operation.protected == (resource in default)
        may_be_refused = resource in CLASSES or operation.path == "/metrics"
        assert ({"401", "403"} <= operation.responses.keys()) == may_be_refused


@pytest.mark.parametrize("operation", PROTECTED, ids=lambda operation: operation.id)
@pytest.mark.parametrize(
    ("example", "headers"), [("missing", {}), ("invalid", {"Authorization": "Bearer"})]
)
def test_without_a_token_the_answer_is_the_example_of_the_document(
    gateway: Flask, operation: openapi.Operation, example: str, headers: dict[str, str]
) -> None:
    path = operation.path.replace("{id}", "1")
    answer = gateway.test_client().open(path, method=operation.method.upper(), headers=headers)
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


def test_every_post_takes_an_idempotency_key() -> None:
    posts = [operation for operation in OPERATIONS if operation.method == "post"]
    for operation in posts:
        assert "Idempotency-Key" in {p["name"] for p in operation.parameters}, operation.id
        assert {"409", "422"} <= set(operation.responses), operation.id
    assert posts


def test_the_example_of_a_bills_id_is_the_id_that_the_example_of_a_key_gives() -> None:
    named = {operation.id: operation for operation in OPERATIONS}
    example = {p["name"]: p.get("x-example") for p in named["postBill"].parameters}
    body = json.dumps(BILL, indent=2).encode()
    caller = scope(ANONYMOUS, "127.0.0.1")
    key = RequestKey(caller, "POST /api/billing", example["Idempotency-Key"], fingerprint(body))
    shown = next(p for p in named["getBill"].parameters if p["name"] == "id")
    assert shown["example"] == str(key.message_id)
