"""openapi.yaml on the whole stack: its examples work as they are, its problems come as it says."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support import openapi
from tests.support.openapi import Operation
from tests.support.ordered import JSON, OPERATIONS, ORDERED
from tests.support.stack_commands import run
from tools.stack.stack import Stack
from tools.stack.waiting import wait_for

WITH_BODY = [operation for operation in OPERATIONS.values() if operation.bodies]
# an event's data may have any field
CLOSED = [operation for operation in WITH_BODY if operation.id != "postEvent"]
WITH_ID = [operation for operation in OPERATIONS.values() if "{id}" in operation.path]
LISTS = [operation for name, operation in OPERATIONS.items() if name.startswith("list")]
# it waits for orders no longer than a second, and is 504 on a machine that is busy
HURRIED = "getOrderDetails"
TOO_LARGE = b'"' + b"x" * 1024 * 1024 + b'"'
# content type, body, and the status of what is answered
WRONG_BODIES = (
    (JSON, b"", 400),
    (JSON, b"{", 400),
    (JSON, TOO_LARGE, 413),
    ("text/plain", b"{}", 415),
    (JSON, b"[]", 422),
)
# of the examples, and of the test of a conflict
ORDER_IDS = {"A"} | {
    body["order_id"]
    for operation in WITH_BODY
    for body in openapi.examples(operation.bodies.get(JSON, {})).values()
    if isinstance(body, dict) and "order_id" in body
}
PROTECTED = [operation for operation in OPERATIONS.values() if operation.protected]


def needs(operation: Operation) -> tuple[str, ...]:
    """The fixtures by which an operation's examples can work."""
    resource = operation.path.removeprefix("/api/").partition("/")[0]
    return {
        "customers": ("no_customers",),
        "orders": ("no_orders", "ordered_products"),
        "products": ("ordered_products",),
    }.get(resource, ())


def bodies() -> Iterator[Any]:
    """Each operation with each example of its body; None where it takes none."""
    for operation in OPERATIONS.values():
        examples = openapi.examples(operation.bodies.get(JSON, {})) or {"": None}
        for number, (name, body) in enumerate(examples.items()):
            # a key belongs to one body, so the first alone goes with the example of a key
            yield pytest.param(operation, body, number == 0, id=f"{operation.id} {name}".strip())


def call(stack: Stack, operation: Operation, body: Any, **places: Any) -> requests.Response:
    """Call an operation with values for its parameters, by where they stand."""
    url = stack.url + operation.path.format_map(places.get("path", {}))
    query, headers = places.get("query"), token(stack, operation) | places.get("header", {})
    return requests.request(
        operation.method, url, json=body, params=query, headers=headers, timeout=20
    )


def token(stack: Stack, operation: Operation) -> dict[str, str]:
    """The header that lets a request in, if it needs one."""
    if not operation.protected:
        return {}
    return {"Authorization": f"Bearer {stack.variables['API_TOKEN']}"}


def given(operation: Operation, place: str) -> dict[str, str]:
    """The examples of an operation's parameters in the path, query or header."""
    found = ((p["name"], openapi.examples(p)) for p in operation.parameters if p["in"] == place)
    return {name: _written(next(iter(shown.values()))) for name, shown in found if shown}


def _written(example: object) -> str:
    """An example as a path, a query or a header has it."""
    if isinstance(example, list):
        return ",".join(map(_written, example))
    return json.dumps(example) if isinstance(example, bool) else str(example)


def listed(stack: Stack, name: str, **query: str) -> Any:
    """What an operation lists, as much as there is place for in one page."""
    answer = call(stack, OPERATIONS[name], None, query={"limit": "1000"} | query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def no_customers(stack: Stack) -> None:
    """Free the email addresses of the examples."""
    for customer in listed(stack, "listCustomers"):
        answer = call(stack, OPERATIONS["deleteCustomer"], None, path={"id": customer["id"]})
        assert answer.status_code == 200, answer.text


@pytest.fixture
def no_orders(stack: Stack) -> None:
    """Free the order_ids of the examples."""
    for order_id in ORDER_IDS:
        for order in listed(stack, "listOrders", order_id=order_id):
            delete_order(stack, order)


def delete_order(stack: Stack, order: Any) -> None:
    """Delete an order, whatever its state."""
    if order["items"]:
        # 409 if it has come to its end by itself; it can be deleted then, too
        call(stack, OPERATIONS["moveOrder"], "cancelled", path={"id": order["id"]})
    answer = call(stack, OPERATIONS["deleteOrder"], None, path={"id": order["id"]})
    assert answer.status_code == 200, answer.text


@pytest.fixture
def ordered_products(stack: Stack) -> None:
    """Make products until those are there that the examples order."""
    made = 0
    while made < max(ORDERED):
        answer = call(stack, OPERATIONS["createProduct"], {"name": "Popcorn", "price": 4.5})
        assert answer.status_code == 201, answer.text
        made = answer.json()["id"]
    for key in ORDERED:
        found = call(stack, OPERATIONS["getProduct"], None, path={"id": key})
        assert found.status_code == 200, "a test has deleted a product that is not its own"


@pytest.fixture(scope="module")
def scopeless(stack: Stack) -> str:
    """A token that allows nothing of what is protected."""
    words = ("token", "create", "--name", "scopeless", "--scope", "movies:read")
    return run(stack, "gateway", *words).strip()


def linked(stack: Stack, operation: Operation) -> dict[str, str]:
    """The id of a thing made for this call, by the link that leads from its making to here."""
    makers = [operation for operation in WITH_BODY if operation.method == "post"]
    for source in makers if "{" in operation.path else []:
        for response in source.responses.values():
            for link in response.get("links", {}).values():
                if link["operationId"] == operation.id:
                    return _made(stack, source, link["parameters"])
    return {}


def _made(stack: Stack, source: Operation, parameters: dict[str, str]) -> dict[str, str]:
    body = next(iter(openapi.examples(source.bodies[JSON]).values()))
    made = call(stack, source, body, path=given(source, "path")).json()
    fields = {name: where.rpartition("/")[2] for name, where in parameters.items()}
    return {name: str(made[field]) for name, field in fields.items()}


def expect(operation: Operation, answer: requests.Response, status: int) -> None:
    """Fail unless an answer has this status and is what the document says of it."""
    assert answer.status_code == status, f"{answer.request.url}: {answer.text}"
    documented = operation.responses[str(status)]
    media_type = answer.headers["Content-Type"].partition(";")[0]
    content = documented["content"][media_type]
    body = answer.json() if media_type.endswith("json") else answer.text
    openapi.validator(content["schema"]).validate(body)
    for name, header in documented["headers"].items():
        if header.get("required"):
            openapi.validator(header["schema"]).validate(answer.headers[name])


@pytest.mark.parametrize(("operation", "body", "first"), list(bodies()))
def test_every_example_works_as_it_is(
    stack: Stack,
    request: pytest.FixtureRequest,
    operation: Operation,
    body: Any,
    first: bool,
) -> None:
    for needed in needs(operation):
        request.getfixturevalue(needed)
    path, query = given(operation, "path") | linked(stack, operation), given(operation, "query")
    header = given(operation, "header") if first else {}

    def is_there(answer: requests.Response) -> bool:
        status = answer.status_code
        return status != 404 and (operation.id, status) != (HURRIED, 504)

    answer = wait_for(
        lambda: call(stack, operation, body, path=path, query=query, header=header),
        is_there,
        10,
        "what was made to be there",
    )
    expect(operation, answer, min(map(int, operation.responses)))


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.id)
def test_an_invalid_body_gets_the_documented_problem(stack: Stack, operation: Operation) -> None:
    url = stack.url + operation.path.format_map({"id": "1"} | given(operation, "path"))
    for content_type, data, status in WRONG_BODIES:
        headers = {"Content-Type": content_type} | token(stack, operation)
        answer = requests.request(operation.method, url, data=data, headers=headers, timeout=20)
        expect(operation, answer, status)


@pytest.mark.parametrize("operation", CLOSED, ids=lambda operation: operation.id)
def test_an_unknown_field_is_the_problem_that_is_documented(
    stack: Stack, operation: Operation
) -> None:
    path = {"id": "1"} | given(operation, "path")
    expect(operation, call(stack, operation, {"unknown": 1}, path=path), 422)


@pytest.mark.parametrize("operation", WITH_ID, ids=lambda operation: operation.id)
def test_an_unknown_id_gets_the_documented_problem(stack: Stack, operation: Operation) -> None:
    examples = openapi.examples(operation.bodies.get(JSON, {}))
    body = next(iter(examples.values()), None)
    for key, status in (("9223372036854775807", 404), ("%00", 400)):
        expect(operation, call(stack, operation, body, path={"id": key}), status)


@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.id)
def test_a_wrong_query_is_the_problem_that_is_documented(
    stack: Stack, operation: Operation
) -> None:
    path = given(operation, "path")
    for query in ("limit=0", "limit=1001", "unknown=1", "after=", "limit=1&limit=2"):
        expect(operation, call(stack, operation, None, path=path, query=query), 422)


@pytest.mark.parametrize(("key", "status"), [("nobody/1", 404), ("%00", 400)])
def test_an_unknown_order_id_gets_the_documented_problem(
    stack: Stack, key: str, status: int
) -> None:
    operation = OPERATIONS["getOrderByOrderId"]
    expect(operation, call(stack, operation, None, path={"order_id": key}), status)


@pytest.mark.parametrize("operation", PROTECTED, ids=lambda operation: operation.id)
def test_without_a_good_token_the_answer_is_the_problem_that_is_documented(
    stack: Stack, scopeless: str, operation: Operation
) -> None:
    for authorization in ("", "Basic dTpw", "Bearer", "Bearer wrong"):
        expect(operation, presenting(stack, operation, authorization), 401)
    expect(operation, presenting(stack, operation, f"Bearer {scopeless}"), 403)


def presenting(stack: Stack, operation: Operation, authorization: str) -> requests.Response:
    """Call an operation with these credentials."""
    path, header = {"id": "1"} | given(operation, "path"), {"Authorization": authorization}
    return call(stack, operation, None, path=path, header=header)


@pytest.mark.usefixtures("no_orders", "ordered_products")
def test_a_conflict_is_the_problem_that_is_documented(stack: Stack) -> None:
    create, adjust = OPERATIONS["createOrder"], OPERATIONS["adjustStock"]
    order = {"order_id": "A", "customer_id": "1", "total_amount": 5, "status": "completed"}
    path = {"id": call(stack, create, order).json()["id"]}
    expect(create, call(stack, create, order), 409)
    for name, body in (("moveOrder", "pending"), ("changeOrder", {"total_amount": 6})):
        expect(OPERATIONS[name], call(stack, OPERATIONS[name], body, path=path), 409)
    less = {"delta": 1 - 2**31}
    expect(adjust, call(stack, adjust, less, path={"id": ORDERED[0]}), 409)
