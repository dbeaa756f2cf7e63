"""Helpers for the tests of the gateway's events."""

import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from flask.testing import FlaskClient
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.support.examples import examples

ORDER = "/api/event/ecommerce/order/create"
DATA = {"order_id": 12345, "customer": "John Doe", "total_amount": 250}
JSON = "application/json"
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.from_regex(r"-?(0|[1-9]\d{0,30})(\.\d{1,30})?([eE][+-]?\d{1,3})?", fullmatch=True).map(
        Decimal
    ),
)
STRINGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | STRINGS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(STRINGS, inner, max_size=5),
    max_leaves=20,
)
OBJECTS = st.dictionaries(STRINGS, VALUES, max_size=5)
any_object = examples(40)


def post(gateway: FlaskClient, data: bytes | str, path: str = ORDER) -> TestResponse:
    """Post a body unchanged."""
    return gateway.post(path, data=data, content_type=JSON)


def posted(gateway: FlaskClient, path: str = ORDER, data: object = None) -> str:
    """Post an event that is accepted; return its uid."""
    answer = gateway.post(path, json=DATA if data is None else data)
    assert answer.status_code == 201, answer.text
    return str(read(answer.data)["event_uid"])


def read(data: bytes | str) -> Any:
    """Read JSON without a float."""
    return json.loads(data, parse_float=Decimal, parse_int=Decimal)


def write(value: object) -> str:
    """Write JSON without a float."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        members = (f"{json.dumps(key)}: {write(member)}" for key, member in value.items())
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(write, value))}]"
    return json.dumps(value, ensure_ascii=False)


def shown(gateway: FlaskClient, uid: str) -> Any:
    """The event as the API shows it."""
    answer = gateway.get(f"/api/events/{uid}")
    assert answer.status_code == 200, answer.text
    return read(answer.data)


def listed(gateway: FlaskClient, **query: object) -> list[Any]:
    """The events of a list."""
    answer = gateway.get(f"/api/events?{urlencode(query)}")
    assert answer.status_code == 200, answer.text
    found: list[Any] = read(answer.data)
    return found


def faults(answer: TestResponse, status: int = 422) -> dict[str, str]:
    """The fields that a problem names."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    return {fault["field"]: fault["detail"] for fault in json.loads(answer.data)["errors"]}
