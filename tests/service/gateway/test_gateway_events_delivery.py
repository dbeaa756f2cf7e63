"""The gateway's events are delivered by the relay, whatever is away meanwhile."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pika
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from chassis.messaging import declarations
from chassis.settings import BrokerSettings
from chassis.storage.database import Database
from gateway.settings import Settings
from tests.support.amqp import connect
from tests.support.at_work import at_work
from tests.support.events_api import (
    JSON,
    OBJECTS,
    any_object,
    listed,
    post,
    posted,
    read,
    shown,
    write,
)
from tests.support.outages import stopped
from tests.support.process import Process, environment
from tests.support.relaying import relay_until
from tests.support.served import gateway_variables
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.waiting import wait_until

QUEUE, EXCHANGE = "events_queue", "events"


def relaying(settings: Settings) -> AbstractContextManager[object]:
    """Have a relay at work, for a block."""
    topology = declarations.of_exchange(EXCHANGE, settings.broker)
    return at_work(partial(relay_until, settings.database, settings.broker, topology))


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
        channel.queue_purge(QUEUE)
        yield channel


def declare(channel: BlockingChannel) -> None:
    """Have exchange, queue and binding as the relay declares them."""
    channel.exchange_declare(EXCHANGE, "topic", durable=True)
    channel.queue_declare(QUEUE, durable=True, arguments=declarations.QUORUM)
    channel.queue_bind(QUEUE, EXCHANGE, "#")


def is_delivered(gateway: FlaskClient, uid: str) -> bool:
    """Whether the API shows an event as delivered."""
    return shown(gateway, uid)["delivered_at"] is not None


def wait_until_delivered(gateway: FlaskClient, *uids: str) -> None:
    """Return when the API shows these events as delivered."""
    wait_until(lambda: all(is_delivered(gateway, uid) for uid in uids), 60, "the delivery")


def taken(channel: BlockingChannel, queue: str = QUEUE) -> dict[str, Any]:
    """Take all messages from a queue; return their bodies by message id."""
    bodies: dict[str, Any] = {}
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None or properties is None:
            return bodies
        assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
        bodies[properties.message_id or ""] = read(body or b"")


def test_an_event_comes_as_a_cloudevent_with_its_own_id_time_and_trace(
    gateway: FlaskClient, gateway_settings: Settings, channel: BlockingChannel
) -> None:
    body = '{"total" : 1.10,\n "name": "é😀", "a": 1e2}'
    with relaying(gateway_settings):
        answer = post(gateway, body)
        uid = json.loads(answer.data)["event_uid"]
        wait_until_delivered(gateway, uid)
    method, properties, message = channel.basic_get(QUEUE, auto_ack=True)
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
    with relaying(gateway_settings):
        # it may come before the relay is connected to the broker, and fail once
        wait_until_delivered(gateway, posted(gateway))
        uid = posted(gateway)
        wait_until_delivered(gateway, uid)
    with gateway_db.autocommit() as connection:
        connection.execute(text("DELETE FROM outbox"))
    event = shown(gateway, uid)
    assert event["attempts"] == 1
    assert event["delivered_at"] >= event["event_timestamp"]


@any_object
@given(OBJECTS)
def test_any_object_reaches_the_queue_digit_for_digit(
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
        with stopped(rabbitmq):
            uids = [posted(gateway, data={"number": number}) for number in range(20)]
            wait_until(lambda: shown(gateway, uids[-1])["attempts"] >= 1, 30, "an attempt")
            assert len(listed(gateway, delivered="false")) == 20
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
    with stopped(rabbitmq), relay_process(gateway_settings, tmp_path):
        uid = posted(gateway)
        wait_until(lambda: shown(gateway, uid)["attempts"] >= 1, 30, "an attempt")
    with relay_process(gateway_settings, tmp_path):
        wait_until_delivered(gateway, uid)
    with channel_to(broker_settings) as after:
        assert taken(after).keys() == {uid}


def test_a_queue_deleted_by_hand_is_declared_again_and_gets_the_missed_events(
    gateway: FlaskClient, gateway_settings: Settings, channel: BlockingChannel
) -> None:
    with relaying(gateway_settings):
        wait_until_delivered(gateway, posted(gateway))
        channel.queue_delete(QUEUE)
        uid = posted(gateway)
        wait_until_delivered(gateway, uid)
    assert taken(channel).keys() == {uid}
    assert shown(gateway, uid)["attempts"] >= 2


def test_an_exchange_deleted_by_hand_is_made_again_and_loses_nothing(
    gateway: FlaskClient, gateway_settings: Settings, channel: BlockingChannel
) -> None:
    with relaying(gateway_settings):
        wait_until_delivered(gateway, posted(gateway))
        channel.exchange_delete(EXCHANGE)
        uid = posted(gateway)
        wait_until_delivered(gateway, uid)
    assert uid in taken(channel)


def test_a_queue_gets_exactly_what_its_binding_selects(
    gateway: FlaskClient, gateway_settings: Settings, channel: BlockingChannel
) -> None:
    channel.queue_declare("orders", exclusive=True)
    channel.queue_bind("orders", EXCHANGE, "ecommerce.order.*")
    wanted = [posted(gateway), posted(gateway, "/api/events/ecommerce/order/delete")]
    others = ["ecommerce/cart/create", "crm/order/create"]
    unwanted = [posted(gateway, f"/api/event/{path}") for path in others]
    with relaying(gateway_settings):
        wait_until_delivered(gateway, *wanted, *unwanted)
    assert taken(channel, "orders").keys() == set(wanted)
    assert taken(channel).keys() == {*wanted, *unwanted}
