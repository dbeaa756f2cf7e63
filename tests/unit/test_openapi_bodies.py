"""openapi.yaml takes the bodies that the code takes, and no others."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from chassis.errors import InvalidError
from chassis.schema.decoding import decode
from chassis.schema.validation import validated
from customers.schemas import CustomerChange, NewCustomer
from gateway.schemas import NewBill
from inventory.schemas import MovieChange, NewMovie, NewProduct, ProductChange, StockChange
from orders.schemas import OrderChange, new_order, status_change
from tests.support import openapi

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
# white space around a text does not count
PADDING = " \t\n\u2003" * 100
LINES = ("x", "x" * 255, "x" * 256, f"{PADDING}{'x' * 255}{PADDING}", f" {'x' * 256}", "", "  ")
MOVIES: list[object] = [
    *({"title": title} for title in (*LINES, 1, None)),
    *({"title": "x", "description": text} for text in ("", "x" * 10_001, None, 1)),
    *({"title": "x", "year": 1999}, {"description": "x"}, {"description": None}, {}, [], "x"),
]
BILLS: list[object] = [
    *(BILL | {"user_id": user} for user in (20, "x" * 64, "x" * 65, "", True, None, 1.5)),
    *(BILL | {"user_id": PADDING + "x" * length} for length in (0, 64, 65)),
    *(BILL | {"number_of_items": n} for n in (1, 2**31 - 1, 2**31, 0, -1, 1.5, True)),
    *(BILL | {"number_of_items": n} for n in ("5", "007", "0", "-1", "1.0", "x", "")),
    *(BILL | {"total_amount": a} for a in (0, 180, 9999999999.99, 1e10, -1, True, None)),
    *(BILL | {"total_amount": a} for a in ("180", "0.10", "1.500", "1.555", "1.", "x")),
    *(BILL, BILL | {"order_id": "x"}, {"user_id": 1}, {}, [], "x"),
]
CUSTOMER: dict[str, object] = {"name": "Benjamin", "email": "ben@kawa.fr"}
CUSTOMERS: list[object] = [
    *(CUSTOMER | {"name": name} for name in (*LINES, 1, None)),
    *(CUSTOMER | {"email": email} for email in ("x@y.fr", "ben", "", 1, None)),
    *(CUSTOMER | {"company": text} for text in (*LINES, PADDING, 1, None)),
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
    *(PRODUCT | {"name": name} for name in (*LINES, "a\0b", 1, None)),
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
    *(f"{PADDING}{'x' * 50} ", f" {'x' * 51}", PADDING),
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
BODIES: dict[str, list[object]] = {
    **dict.fromkeys(("NewCustomer", "CustomerChange"), CUSTOMERS),
    **dict.fromkeys(("NewProduct", "ProductChange"), PRODUCTS),
    **dict.fromkeys(("NewMovie", "MovieChange"), MOVIES),
    "StockChange": STOCK,
    "NewOrder": ORDERS,
    "OrderChange": ORDER_CHANGES,
    "StatusChange": MOVES,
    "NewBill": BILLS,
}


def fitting(name: str) -> Callable[[object], bool]:
    """What tells whether a body fits a schema of the document."""
    document = openapi.raw()
    schema = openapi.resolved(document["components"]["schemas"][name], document)
    validator = openapi.validator(schema)
    return lambda body: bool(validator.is_valid(body))


def is_taken(name: str, body: object) -> bool:
    """Whether the code takes a body, read as it would be."""
    try:
        READERS[name](decode(json.dumps(body).encode()))
    except InvalidError:
        return False
    return True


def test_each_schema_has_bodies_to_try() -> None:
    assert BODIES.keys() == READERS.keys()


@pytest.mark.parametrize("name", BODIES)
def test_the_document_accepts_the_bodies_that_the_code_accepts(name: str) -> None:
    is_documented = fitting(name)
    wrong = [body for body in BODIES[name] if is_documented(body) != is_taken(name, body)]
    assert wrong == []
