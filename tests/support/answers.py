"""Answers to requests, and requests that every service refuses."""

import json
from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

JSON = "application/json"
TOO_DEEP = 100_000
NO_JSON = {
    "no body": b"",
    "white space": b"  ",
    "half an object": b'{"title": ',
    "something behind it": b'{"title": "A"} x',
    "single quotes": b"{'title': 'A'}",
    "invalid UTF-8": b'{"title": "\xff"}',
    "a byte order mark": b'\xef\xbb\xbf{"title": "A"}',
    "NaN": b'{"title": NaN}',
    "-Infinity": b'{"title": -Infinity}',
    "arrays nested deeply": b"[" * TOO_DEEP,
    "objects nested deeply": b'{"title":' * TOO_DEEP,
}
NO_OBJECT = ["[]", "null", "true", '"The Matrix"', "5", "1.5", '[{"title": "A"}]']
NO_IDS = {
    "zero": "0",
    "negative": "-1",
    "text": "abc",
    "one too large": str(2**63),
    "fullwidth digit": "%EF%BC%91",
    "decimal": "1.5",
    "exponent": "1e3",
    "NUL": "%00",
    "invalid UTF-8": "%FF",
    "very long": "9" * 5000,
}


def content(response: TestResponse) -> Any:
    """The JSON of an answer."""
    return json.loads(response.data)


def walked(client: FlaskClient, target: str) -> Iterator[TestResponse]:
    """The pages of a list from `target` on, by their links; all have the same path."""
    path = target.partition("?")[0]
    while target:
        assert target.startswith(f"{path}?")
        response = client.get(target)
        yield response
        target = response.headers.get("Link", "<>").partition(">")[0].removeprefix("<")


def problem(response: TestResponse, *statuses: int) -> dict[str, Any]:
    """The problem document of an answer."""
    assert response.status_code in statuses, response.text
    assert response.content_type == "application/problem+json"
    document: dict[str, Any] = json.loads(response.data)
    assert document["status"] == response.status_code
    assert document["title"]
    assert document["detail"]
    return document


def fields(response: TestResponse) -> list[str]:
    """The fields that a 422 names."""
    return [fault["field"] for fault in problem(response, 422)["errors"]]
