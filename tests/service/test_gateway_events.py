"""The gateway's events API: stored first, delivered by the relay, whatever is away meanwhile."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pika
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text
from werkzeug.test import TestResponse

from chassis import broker, outbox
from chassis.broker import Message
from chassis.database import Database
from chassis.publisher import Publisher
from chassis.relay import Relay
from chassis.settings import BrokerSettings
from gateway import events
from gateway.app import bill_topology
from gateway.settings import Settings
from local.postgres import Postgres
from local.rabbitmq import RabbitMQ
from local.waiting import wait_until
from tests.service.amqp import connect
from tests.service.process import Process, environment
from tests.service.served import gateway_variables

ORDER = "/api/event/ecommerce/order/create"
DATA = {"order_id": 12345, "customer": "John Doe", "total_amount": 250}
MAX_BYTES = 262_144
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
any_object = settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@contextmanager
def relaying(gateway_settings: Settings) -> Iterator[None]:
    """Have a relay at work."""
    stop = threading.Event()
    topology = [*bill_topology(gateway_settings), *events.TOPOLOGY]
    publisher = Publisher(gateway_settings.broker, "test relay", topology)
    publisher.start()
    thread = threading.Thread(target=Relay(gateway_settings.database, publisher, stop).run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        publisher.close()
    assert not thread.is_alive()


@contextmanager
def relay_process(gateway_settings: Settings, home: Path) -> Iterator[None]:
    """Have the process gateway-relay at work, and kill it."""
    port = gateway_settings.relay_port.port
    variables = gateway_variables(gateway_settings.database)
    variables |= environment("gateway", gateway_settings, home, GATEWAY_RELAY_PORT=port)
    process = Process("gateway", "relay", variables, home, port)
    process.start()
    try:
        yield
    finally:
        process.kill()


@contextmanager
def channel_to(broker_settings: BrokerSettings) -> Iterator[BlockingChannel]:
    """Lend a channel."""
    with connect(broker_settings) as connection:
        yield connection.channel()


@pytest.fixture
def channel(broker_settings: BrokerSettings) -> Iterator[BlockingChannel]:
    """A channel beside the relay's; exchange and queue are there, and empty."""
    with channel_to(broker_settings) as channel:
        declare(channel)
        channel.queue_purge(events.QUEUE)
        yield channel


def declare(channel: BlockingChannel) -> None:
    """Have exchange, queue and binding as the relay declares them."""
    channel.exchange_declare(events.EXCHANGE, "topic", durable=True)
    channel.queue_declare(events.QUEUE, durable=True, arguments=broker.QUORUM)
    channel.queue_bind(events.QUEUE, events.EXCHANGE, "#")


def post(gateway: FlaskClient, data: bytes | str, path: str = ORDER) -> TestResponse:
    """Post a body as it is."""
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
    """What the API shows of an event."""
    answer = gateway.get(f"/api/events/{uid}")
    assert answer.status_code == 200, answer.text
    return read(answer.data)


def listed(gateway: FlaskClient, **query: object) -> list[Any]:
    """The events of a list."""
    answer = gateway.get(f"/api/events?{urlencode(query)}")
    assert answer.status_code == 200, answer.text
    found: list[Any] = read(answer.data)
    return found


def is_delivered(gateway: FlaskClient, uid: str) -> bool:
    """Whether the API shows an event as delivered."""
    return shown(gateway, uid)["delivered_at"] is not None


def wait_until_delivered(gateway: FlaskClient, *uids: str) -> None:
    """Return when the API shows these events as delivered."""
    wait_until(lambda: all(is_delivered(gateway, uid) for uid in uids), 60, "the delivery")


def taken(channel: BlockingChannel, queue: str = events.QUEUE) -> dict[str, Any]:
    """Take all messages from a queue; return their bodies by message id."""
    bodies: dict[str, Any] = {}
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None or properties is None:
            return bodies
        assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
        bodies[properties.message_id or ""] = read(body or b"")


def faults(answer: TestResponse, status: int = 422) -> dict[str, str]:
    """The fields that a problem names."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    return {fault["field"]: fault["detail"] for fault in json.loads(answer.data)["errors"]}


# storing


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
    with gateway_db.unit_of_work() as connection:
        stored = events.store(connection, events.Kind("a", "b", "c"), b"{}")
    assert gateway.get(f"/api/events/{stored.uid}").status_code == 404
    uid = posted(gateway)
    with gateway_db.read() as connection:
        ids = connection.execute(text("SELECT message_id FROM outbox")).scalars().all()
    assert ids == [uid]


@any_object
@given(OBJECTS)
def test_any_object_is_given_back_digit_for_digit(
    gateway: FlaskClient, data: dict[str, Any]
) -> None:
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
def test_what_is_at_the_limits_is_given_back_too(gateway: FlaskClient, data: str) -> None:
    answer = post(gateway, data)
    assert answer.status_code == 201, answer.text
    event = read(answer.data)
    assert event["event_data"] == read(data)
    assert shown(gateway, event["event_uid"])["event_data"] == read(data)


# refusing


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
        ("\ufeff{}", 400, "not JSON"),
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
def test_what_is_no_json_object_or_too_large_is_refused_with_the_reason(
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
def test_what_the_database_can_not_hold_is_refused_by_its_place(
    gateway: FlaskClient, data: str, places: list[str]
) -> None:
    assert list(faults(post(gateway, data))) == places
    assert listed(gateway) == []


@any_object
@given(WILD)
def test_any_json_is_stored_and_given_back_or_refused_by_its_place(
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


def test_with_the_database_away_nothing_is_accepted(
    gateway: FlaskClient, postgres: Postgres
) -> None:
    postgres.stop()
    try:
        answer = gateway.post(ORDER, json=DATA)
    finally:
        postgres.start()
    assert answer.status_code == 503
    assert json.loads(answer.data)["cause"] == "database_unavailable"
    assert "Retry-After" in answer.headers
    assert posted(gateway)


# lists


def test_a_list_is_narrowed_by_names_time_and_delivery(
    gateway: FlaskClient, gateway_db: Database
) -> None:
    paths = ["shop/order/create", "shop/order/delete", "shop/cart/create", "crm/order/create"]
    uids = [posted(gateway, f"/api/event/{path}") for path in paths]
    with gateway_db.read() as connection:
        statement = text("UPDATE outbox SET sent_at = now() WHERE message_id = :id")
        connection.execute(statement, {"id": uids[0]})
    since = datetime.fromisoformat(
        shown(gateway, uids[2])["event_timestamp"].rstrip("Z") + "+00:00"
    )
    east = since.astimezone().isoformat()

    def found(**query: object) -> list[str]:
        return [event["event_uid"] for event in listed(gateway, **query)]

    assert found() == uids
    assert found(solution="shop") == uids[:3]
    assert found(model="order") == [uids[0], uids[1], uids[3]]
    assert found(solution="shop", model="order", action="create") == [uids[0]]
    assert found(since=since.isoformat()) == found(since=east) == uids[2:]
    assert found(since=(since + timedelta(microseconds=1)).isoformat()) == uids[3:]
    assert found(delivered="true") == [uids[0]]
    assert found(delivered="false", solution="shop") == uids[1:3]
    assert found(solution="nobody") == []


def test_pages_follow_each_other_by_their_links(gateway: FlaskClient) -> None:
    uids = [posted(gateway) for _ in range(7)]
    path: str | None = "/api/events/?solution=ecommerce&limit=3"
    sizes, seen = [], []
    while path:
        answer = gateway.get(path)
        page = read(answer.data)
        sizes.append(len(page))
        seen += [event["event_uid"] for event in page]
        link = answer.headers.get("Link")
        path = link and link.partition(">")[0].removeprefix("<")
    assert (sizes, seen) == ([3, 3, 1], uids)


def test_a_page_of_large_events_ends_early_and_links_to_the_next(
    gateway: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAGE_SIZE", 2500)
    uids = [posted(gateway, data={"text": "x" * 1000}) for _ in range(5)]
    answer = gateway.get("/api/events?limit=4")
    assert [event["event_uid"] for event in read(answer.data)] == uids[:2]
    assert "limit=4&after=" in answer.headers["Link"]
    monkeypatch.setattr(events, "PAGE_SIZE", 10)
    assert len(listed(gateway)) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("solution=a.b", "solution"),
        ("model=", "model"),
        ("since=yesterday", "since"),
        ("since=2024-09-30", "since"),
        ("since=2024-09-30T18:07:44", "since"),
        ("since=2024-09-30T18:07:44+02:00", "since"),
        ("since=2024-02-30T18:07:44Z", "since"),
        ("since=0001-01-01T00:00:00%2B01:00", "since"),
        ("since=1727719664", "since"),
        ("delivered=1", "delivered"),
        ("delivered=True", "delivered"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("after=0", "after"),
        ("after=9000000000000000000", "after"),
        ("surprise=1", "surprise"),
        ("model=a&model=b", "model"),
    ],
)
def test_a_wrong_query_is_refused_by_the_parameter(
    gateway: FlaskClient, query: str, field: str
) -> None:
    assert list(faults(gateway.get(f"/api/event?{query}"))) == [field]


@pytest.mark.parametrize("since", ["2024-09-30T18:07:44.1234567890+23:59", "0001-01-02t00:00:00z"])
def test_any_time_with_an_offset_is_understood(gateway: FlaskClient, since: str) -> None:
    uid = posted(gateway)
    assert [event["event_uid"] for event in listed(gateway, since=since)] == [uid]


# delivering


def test_an_event_comes_as_a_cloudevent_with_its_own_id_time_and_trace(
    gateway: FlaskClient, gateway_settings: Settings, channel: BlockingChannel
) -> None:
    body = '{"total" : 1.10,\n "name": "é😀", "a": 1e2}'
    with relaying(gateway_settings):
        answer = post(gateway, body)
        uid = json.loads(answer.data)["event_uid"]
        wait_until_delivered(gateway, uid)
    method, properties, message = channel.basic_get(events.QUEUE, auto_ack=True)
    assert method is not None and properties is not None and message is not None
    assert (method.exchange, method.routing_key) == ("events", "ecommerce.order.create")
    assert properties.content_type == "application/cloudevents+json"
    assert properties.message_id == uid
    assert properties.headers is not None
    assert properties.headers["X-Request-ID"] == answer.headers["X-Request-ID"]
    assert body.encode() in message
    envelope = read(message)
    assert envelope.pop("data") == read(body)
    assert envelope.pop("time").rstrip("Z0") == read(answer.data)["event_timestamp"].rstrip("Z0")
    assert envelope == {
        "specversion": "1.0",
        "id": uid,
        "type": "ecommerce.order.create",
        "source": "gateway",
        "datacontenttype": JSON,
        "solution": "ecommerce",
        "model": "order",
        "action": "create",
    }


def test_a_delivered_event_is_shown_so_after_the_outbox_was_purged(
    gateway: FlaskClient, gateway_db: Database, gateway_settings: Settings, channel: BlockingChannel
) -> None:
    uid = posted(gateway)
    with relaying(gateway_settings):
        wait_until_delivered(gateway, uid)
    with gateway_db.read() as connection:
        connection.execute(text("DELETE FROM outbox"))
    event = shown(gateway, uid)
    assert event["attempts"] == 1
    assert event["delivered_at"] >= event["event_timestamp"]


@any_object
@given(OBJECTS)
def test_any_object_comes_to_the_queue_digit_for_digit(
    gateway: FlaskClient, live_channel: BlockingChannel, data: dict[str, Any]
) -> None:
    uid = read(post(gateway, write(data)).data)["event_uid"]
    came: dict[str, Any] = {}

    def has_come() -> bool:
        came.update(taken(live_channel))
        return uid in came

    wait_until(has_come, 20, "the event", poll=0.001)
    assert came[uid]["data"] == read(write(data))


@pytest.fixture
def live_channel(gateway_settings: Settings, channel: BlockingChannel) -> Iterator[BlockingChannel]:
    """A channel, with a relay at work."""
    with relaying(gateway_settings):
        yield channel


def test_with_the_broker_stopped_events_are_accepted_and_delivered_when_it_is_back(
    gateway: FlaskClient,
    gateway_settings: Settings,
    rabbitmq: RabbitMQ,
    broker_settings: BrokerSettings,
    channel: BlockingChannel,
) -> None:
    channel.connection.close()
    with relaying(gateway_settings):
        rabbitmq.stop()
        try:
            uids = [posted(gateway, data={"number": number}) for number in range(20)]
            wait_until(lambda: shown(gateway, uids[-1])["attempts"] >= 1, 30, "an attempt")
            assert len(listed(gateway, delivered="false")) == 20
        finally:
            rabbitmq.start()
        wait_until_delivered(gateway, *uids)
    assert all(shown(gateway, uid)["attempts"] >= 2 for uid in uids)
    with channel_to(broker_settings) as after:
        assert taken(after).keys() == set(uids)


def test_a_relay_killed_before_it_could_publish_loses_nothing(
    gateway: FlaskClient,
    gateway_settings: Settings,
    rabbitmq: RabbitMQ,
    broker_settings: BrokerSettings,
    channel: BlockingChannel,
    tmp_path: Path,
) -> None:
    channel.connection.close()
    rabbitmq.stop()
    try:
        with relay_process(gateway_settings, tmp_path):
            uid = posted(gateway)
            wait_until(lambda: shown(gateway, uid)["attempts"] >= 1, 30, "an attempt")
    finally:
        rabbitmq.start()
    with relay_process(gateway_settings, tmp_path):
        wait_until_delivered(gateway, uid)
    with channel_to(broker_settings) as after:
        assert taken(after).keys() == {uid}


def test_a_queue_deleted_by_hand_is_made_again_and_gets_what_it_missed(
    gateway: FlaskClient, gateway_settings: Settings, channel: BlockingChannel
) -> None:
    with relaying(gateway_settings):
        wait_until_delivered(gateway, posted(gateway))
        channel.queue_delete(events.QUEUE)
        uid = posted(gateway)
        wait_until_delivered(gateway, uid)
    assert taken(channel).keys() == {uid}
    assert shown(gateway, uid)["attempts"] >= 2


def test_an_exchange_deleted_by_hand_is_made_again_and_loses_nothing(
    gateway: FlaskClient, gateway_settings: Settings, channel: BlockingChannel
) -> None:
    with relaying(gateway_settings):
        wait_until_delivered(gateway, posted(gateway))
        channel.exchange_delete(events.EXCHANGE)
        uid = posted(gateway)
        wait_until_delivered(gateway, uid)
    assert uid in taken(channel)


def test_a_queue_gets_just_what_its_binding_asks_for(
    gateway: FlaskClient, gateway_settings: Settings, channel: BlockingChannel
) -> None:
    channel.queue_declare("orders", exclusive=True)
    channel.queue_bind("orders", events.EXCHANGE, "ecommerce.order.*")
    wanted = [posted(gateway), posted(gateway, "/api/events/ecommerce/order/delete")]
    others = ["ecommerce/cart/create", "crm/order/create"]
    unwanted = [posted(gateway, f"/api/event/{path}") for path in others]
    with relaying(gateway_settings):
        wait_until_delivered(gateway, *wanted, *unwanted)
    assert taken(channel, "orders").keys() == set(wanted)
    assert taken(channel).keys() == {*wanted, *unwanted}


def test_the_outbox_may_hold_messages_that_are_no_events(
    gateway: FlaskClient, gateway_db: Database
) -> None:
    uid = posted(gateway)
    with gateway_db.unit_of_work() as connection:
        outbox.add(connection, Message(b"{}", "billing_queue", id="no uuid"))
        outbox.add(connection, Message(b"{}", "billing_queue", id=uid))
        outbox.add(connection, Message(b"{}", "x", "events", id="no uuid either"))
        connection.execute(
            text("UPDATE outbox SET attempts = 7, sent_at = now() WHERE message_id <> :uid"),
            {"uid": uid},
        )
        connection.execute(text("UPDATE outbox SET attempts = 9 WHERE exchange = ''"))
        connection.commit()
    assert shown(gateway, uid)["attempts"] == 0
    with gateway_db.read() as connection:
        connection.execute(text("UPDATE outbox SET attempts = 1 WHERE exchange = 'events'"))
    assert shown(gateway, uid)["attempts"] == 1
