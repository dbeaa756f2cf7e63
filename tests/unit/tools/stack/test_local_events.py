"""How ./stack events shows a message."""

import json
from typing import Any

import pytest
from pika import BasicProperties

from tools.stack import events

EVENT = {
    "specversion": "1.0",
    "id": "b5c6",
    "type": "customer.created",
    "source": "customer-api",
    "time": "2026-01-01T00:00:00.000000Z",
    "datacontenttype": "application/json",
    "data": {"id": 42, "name": "Zoë 🎬"},
}
NONE = BasicProperties()


def shown(body: bytes, properties: BasicProperties = NONE) -> Any:
    """What the line says."""
    return json.loads(events.line("a.key", properties, body))


def test_a_cloudevent_is_shown_with_time_key_type_source_and_data_first() -> None:
    line = events.line("a.key", NONE, json.dumps(EVENT).encode())
    assert line == (
        '{"time":"2026-01-01T00:00:00.000000Z","routing_key":"a.key","type":"customer.created",'
        '"source":"customer-api","data":{"id":42,"name":"Zoë 🎬"},"id":"b5c6"}'
    )


@pytest.mark.parametrize(
    "number", ["1.10", "12345678901234567890123", "1e400", "0.1000000000000001"]
)
def test_numbers_keep_their_digits(number: str) -> None:
    body = json.dumps(EVENT).replace("42", number).encode()
    assert f'"data":{{"id":{number},' in events.line("a.key", NONE, body)


def test_json_that_is_no_cloudevent_is_shown_with_what_its_properties_say() -> None:
    properties = BasicProperties(message_id="m-1", timestamp=1767225600)
    assert shown(b'{"user_id": 3}', properties) == {
        "time": "2026-01-01T00:00:00+00:00",
        "routing_key": "a.key",
        "id": "m-1",
        "body": {"user_id": 3},
    }


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"no JSON", "no JSON"),
        (b"", ""),
        (b"\xff\xfe", "��"),
        (b'two\nlines"', 'two\nlines"'),
        (b'"\\ud800"', '"\\ud800"'),
        (b"[" * 10_000, "[" * 10_000),
        (b"[" * 500 + b"]" * 500, "[" * 500 + "]" * 500),
    ],
    ids=["text", "empty", "no UTF-8", "two lines", "half a character", "unfinished", "deep"],
)
def test_a_body_that_is_not_json_is_shown_as_one_line_of_text(body: bytes, text: str) -> None:
    assert shown(body) == {"routing_key": "a.key", "body": text}
    assert "\n" not in events.line("a.key", NONE, body)
