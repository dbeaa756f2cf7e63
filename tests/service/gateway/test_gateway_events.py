"""The gateway's events API: stored first, word for word, or refused with the reason."""

import io
import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from chassis.storage.database import Database
from gateway import client_events
from tests.support.events_api import (
    DATA,
    JSON,
    OBJECTS,
    ORDER,
    any_object,
    faults,
    listed,
    post,
    posted,
    read,
    shown,
    write,
)
from tools.stack.servers.postgres import Postgres

MAX_BYTES = 262_144
WILD_STRINGS = st.text(st.sampled_from(["\0", "\ud83d", "\ude00", "\udfff", "é", "a"]), max_size=4)
WILD_NUMBERS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["0", "-0", "7", "-12", "0.0", "1.50", "0.00001", "12345.678"]),
    st.sampled_from(["e", "E+", "e-"]),
    st.integers(0, 20_000) | st.integers(130_000, 133_000) | st.integers(0, 10**12),
)
WILD = st.recursive(
    WILD_NUMBERS | WILD_STRINGS.map(json.dumps),
    lambda inner: st.dictionaries(WILD_STRINGS, inner, max_size=3).map(
        lambda members: "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in members.items()) + "}"
    ),
    max_leaves=4,
)


@pytest.mark.parametrize("prefix", ["/api/event", "/api/events"])
@pytest.mark.parametrize("end", ["", "/"])
def test_an_event_is_answered_with_its_uid_time_and_data(
    gateway: FlaskClient, prefix: str, end: str
) -> None:
    answer = post(gateway, json.dumps(DATA), f"{prefix}/ecommerce/order/create{end}")
    assert answer.status_code == 201
    event = json.loads(answer.data)
    assert list(event) == ["event_uid", "event_timestamp", "event_data"]
    assert answer.headers["Location"] == f"/api/events/{UUID(event['event_uid'])}"
    assert datetime.strptime(event["event_timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ")
    assert event["event_data"] == DATA


def test_an_event_is_shown_with_its_names_attempts_and_delivery(gateway: FlaskClient) -> None:
    answer = json.loads(gateway.post(ORDER, json=DATA).data)
    event = json.loads(gateway.get(f"/api/events/{answer['event_uid']}").data)
    assert event == {
        "id": event["id"],
        **answer,
        "solution": "ecommerce",
        "model": "order",
        "action": "create",
        "attempts": 0,
        "delivered_at": None,
    }


def test_an_event_and_its_message_are_stored_together_or_not_at_all(
    gateway: FlaskClient, gateway_db: Database
) -> None:
    with gateway_db.transaction() as connection:
        stored = client_events.store(connection, client_events.Kind("a", "b", "c"), b"{}")
        connection.rollback()
    assert gateway.get(f"/api/events/{stored.uid}").status_code == 404
    uid = posted(gateway)
    with gateway_db.autocommit() as connection:
        ids = connection.execute(text("SELECT message_id FROM outbox")).scalars().all()
    assert ids == [uid]


@any_object
@given(OBJECTS)
def test_any_object_is_returned_digit_for_digit(gateway: FlaskClient, data: dict[str, Any]) -> None:
    answer = post(gateway, write(data))
    assert answer.status_code == 201, answer.text
    event = read(answer.data)
    expected = read(write(data))
    assert event["event_data"] == expected
    assert shown(gateway, event["event_uid"])["event_data"] == expected


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        ' \n{ "a" :\t[ ] }\r\n',
        '{"é": "ça va 😀 𝄞", "": "\\ud83d\\ude00 \\u00e9 \\\\u0000 %s %(x)s :y"}',
        '{"a": 0.1, "b": 1.10, "c": 12345678901234567890.123456789, "d": -0.0, "e": 1E+2}',
        f'{{"a": {"9" * 131_072}}}',
        '{"a": 1e131071}',
        '{"a": -9.99e131071, "b": 1e-16383, "c": 0e-16383}',
        '{"a":' * 99 + "{}" + "}" * 99,
        '{"a": "%s"}' % ("x" * (MAX_BYTES - 9)),
    ],
    ids=lambda data: data[:30],
)
def test_values_at_the_limits_are_returned_too(gateway: FlaskClient, data: str) -> None:
    answer = post(gateway, data)
    assert answer.status_code == 201, answer.text
    event = read(answer.data)
    assert event["event_data"] == read(data)
    assert shown(gateway, event["event_uid"])["event_data"] == read(data)


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        ("", 400, "empty"),
        ("{", 400, "not JSON"),
        ("NaN", 400, "NaN"),
        ('{"a": NaN}', 400, "NaN"),
        ('{"a": -Infinity}', 400, "Infinity"),
        ('{"a": 01}', 400, "not JSON"),
        (b'{"a": "\xff"}', 400, "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', 400, "UTF-8"),
        ("\ufeff{}", 400, "byte order mark"),
        ('{"a":' * 100 + "{}" + "}" * 100, 400, "100 levels"),
        ('{"a":' * 900 + "{}" + "}" * 900, 400, "deep"),
        ('{"a":' * 40_000 + "{}" + "}" * 40_000, 400, "deep"),
        ("[]", 422, "must be a JSON object"),
        ("null", 422, "must be a JSON object"),
        ('"text"', 422, "must be a JSON object"),
        ("12", 422, "must be a JSON object"),
        ('{"a": "%s"}' % ("x" * (MAX_BYTES - 8)), 413, "262,144 bytes"),
        ('{"a": "%s"}' % ("x" * 2_000_000), 413, "262,144 bytes"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_event_data_that_are_not_an_object_or_too_large_are_refused_with_the_reason(
    gateway: FlaskClient, gateway_db: Database, data: bytes | str, status: int, said: str
) -> None:
    answer = post(gateway, data)
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert said in json.loads(answer.data)["detail"]
    assert listed(gateway) == []


@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES, 201), (MAX_BYTES + 1, 413)])
def test_a_body_without_a_length_has_the_same_limit(
    gateway: FlaskClient, size: int, status: int
) -> None:
    body = b'{"a": "%s"}' % (b"x" * (size - 9))
    answer = gateway.post(
        ORDER,
        input_stream=io.BytesIO(body),
        content_type=JSON,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("data", "places"),
    [
        (r'{"a": "x\u0000y"}', ["a"]),
        (r'{"a\u0000": 1}', ["a\0"]),
        (r'{"order": {"lines": [{}, {"name": "\ud800"}]}}', ["order.lines.1.name"]),
        (r'{"\udc00x": 1}', ["\\udc00x"]),
        (r'{"\ude00\ud83d": 1}', [r"\ude00\ud83d"]),
        ('{"a": 1e400000}', ["a"]),
        ('{"a": [1, 1e131072, 1e-16384]}', ["a.1", "a.2"]),
        ('{"a": 1.0e-16383}', ["a"]),
        ('{"a": -1e99999999999999999999, "b": 1e-99999999999999999999}', ["a", "b"]),
        (f'{{"a": {"9" * 131_073}}}', ["a"]),
        ('{"a": [1e131071, 1e131071, 1e131071, 1e131071]}', ["a.2"]),
        ('{"a": 1, "b": {"c": 1, "\\u0063": 2}}', ["b.c"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_values_that_the_database_cannot_store_are_refused_by_place(
    gateway: FlaskClient, data: str, places: list[str]
) -> None:
    assert list(faults(post(gateway, data))) == places
    assert listed(gateway) == []


@any_object
@given(WILD)
def test_any_json_is_stored_and_returned_or_refused_by_its_place(
    gateway: FlaskClient, data: str
) -> None:
    answer = post(gateway, data)
    if answer.status_code == 201:
        event = read(answer.data)
        assert shown(gateway, event["event_uid"])["event_data"] == read(data)
    else:
        assert faults(answer)


@pytest.mark.parametrize(
    ("names", "field"),
    [
        ("a.b/order/create", "solution"),
        ("shop/ordr*/create", "model"),
        ("shop/order/cr%C3%A9er", "action"),
        ("shop/order/create%0A", "action"),
        ("shop/order/%EF%BC%91", "action"),
        ("sh%20op/order/create", "solution"),
        (f"shop/{'x' * 65}/create", "model"),
    ],
)
def test_a_wrong_name_is_named(gateway: FlaskClient, names: str, field: str) -> None:
    assert list(faults(gateway.post(f"/api/event/{names}", json=DATA))) == [field]


def test_names_may_be_64_characters_long(gateway: FlaskClient) -> None:
    name = "aZ09-_" + "x" * 58
    uid = posted(gateway, f"/api/event/{name}/{name}/{name}")
    assert shown(gateway, uid)["model"] == name


def test_another_content_type_is_refused(gateway: FlaskClient) -> None:
    assert gateway.post(ORDER, data="{}", content_type="text/plain").status_code == 415


def test_an_unknown_uid_is_not_found_and_a_malformed_one_invalid(gateway: FlaskClient) -> None:
    assert gateway.get(f"/api/events/{uuid4()}").status_code == 404
    assert list(faults(gateway.get("/api/events/17"))) == ["uid"]


def test_without_the_database_nothing_is_accepted(gateway: FlaskClient, postgres: Postgres) -> None:
    postgres.stop()
    try:
        answer = gateway.post(ORDER, json=DATA)
    finally:
        postgres.start()
    assert answer.status_code == 503
    assert json.loads(answer.data)["cause"] == "database_unavailable"
    assert "Retry-After" in answer.headers
    assert posted(gateway)


def test_the_outbox_may_hold_messages_that_are_no_events(
    gateway: FlaskClient, gateway_db: Database
) -> None:
    uid = posted(gateway)
    with gateway_db.transaction() as connection:
        outbox.add(connection, Message(b"{}", "billing_queue", id="no uuid"))
        outbox.add(connection, Message(b"{}", "billing_queue", id=uid))
        outbox.add(connection, Message(b"{}", "x", "events", id="no uuid either"))
        connection.execute(
            text("UPDATE outbox SET attempts = 7, sent_at = now() WHERE message_id <> :uid"),
            {"uid": uid},
        )
        connection.execute(text("UPDATE outbox SET attempts = 9 WHERE exchange = ''"))
    assert shown(gateway, uid)["attempts"] == 0
    with gateway_db.autocommit() as connection:
        connection.execute(text("UPDATE outbox SET attempts = 1 WHERE exchange = 'events'"))
    assert shown(gateway, uid)["attempts"] == 1
