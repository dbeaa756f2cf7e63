"""The gateway's `POST /api/billing` and its relay, with the broker there and away."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from chassis.messaging import declarations
from chassis.messaging.publisher import Publisher, State
from chassis.settings import BrokerSettings
from chassis.storage.database import Database
from gateway.app import create_app, create_publisher
from gateway.settings import Settings
from tests.support.amqp import connect
from tests.support.at_work import at_work
from tests.support.outages import frozen, stopped
from tests.support.relaying import relay_until
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.waiting import wait_until

QUEUE = "billing_queue"
BILL = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}
SECONDS = 60.0


@pytest.fixture
def publisher(gateway_settings: Settings, empty_queue: None) -> Iterator[Publisher]:
    """A publisher as the gateway's, connected, that waits for a broker that is slow to confirm."""
    topology = declarations.of_queue(QUEUE, gateway_settings.broker)
    with closing(Publisher(gateway_settings.broker, "test", topology, timeout=20)) as publisher:
        publisher.start()
        assert publisher.wait_until_ready(SECONDS)
        yield publisher


@pytest.fixture
def gateway(gateway_settings: Settings, publisher: Publisher) -> FlaskClient:
    """A client of the gateway."""
    return create_app(gateway_settings, publisher).test_client()


@pytest.fixture
def empty_queue(broker_settings: BrokerSettings) -> None:
    """The queue is there, and empty."""
    with connect(broker_settings) as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True, arguments=declarations.QUORUM)
        channel.queue_purge(QUEUE)


@pytest.fixture
def channel(broker_settings: BrokerSettings, empty_queue: None) -> Iterator[BlockingChannel]:
    """A channel beside the gateway's."""
    with connect(broker_settings) as connection:
        yield connection.channel()


@pytest.fixture
def relay(gateway_settings: Settings) -> Iterator[Callable[[], object]]:
    """Start a relay in a thread."""
    settings, topology = gateway_settings, declarations.of_queue(QUEUE, gateway_settings.broker)
    run = partial(relay_until, settings.database, settings.broker, topology)
    with ExitStack() as running:
        yield lambda: running.enter_context(at_work(run))


def outbox_ids(database: Database, condition: str = "true") -> list[str]:
    """The message ids in the outbox."""
    with database.autocommit() as connection:
        statement = text(f"SELECT message_id FROM outbox WHERE {condition} ORDER BY id")
        return list(connection.execute(statement).scalars())


def taken(channel: BlockingChannel) -> list[str]:
    """Take all messages from the queue and return their ids."""
    ids: list[str] = []
    while True:
        method, properties, _body = channel.basic_get(QUEUE, auto_ack=True)
        if method is None or properties is None:
            return ids
        ids.append(properties.message_id or "")


def test_a_bill_is_in_the_queue_as_posted_when_202_is_answered(
    gateway: FlaskClient, channel: BlockingChannel
) -> None:
    posted = '{"total_amount": 99.970, "user_id":"usr_é" , "number_of_items":"3"}'.encode()
    answer = gateway.post("/api/billing", data=posted, content_type="application/json")
    assert answer.status_code == 202
    assert answer.json is not None
    assert answer.json["message"] == "Message posted"
    assert answer.headers["Location"] == f"/api/billing/{UUID(answer.json['id'])}"
    _method, properties, body = channel.basic_get(QUEUE, auto_ack=True)
    assert body == posted
    assert properties is not None and properties.headers is not None
    assert properties.message_id == answer.json["id"]
    assert properties.headers["X-Request-ID"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 65}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"user_id": None}, "user_id"),
        ({"number_of_items": 0}, "number_of_items"),
        ({"number_of_items": 1.5}, "number_of_items"),
        ({"number_of_items": True}, "number_of_items"),
        ({"number_of_items": 2**31}, "number_of_items"),
        ({"number_of_items": "five"}, "number_of_items"),
        ({"total_amount": -0.01}, "total_amount"),
        ({"total_amount": 1.005}, "total_amount"),
        ({"total_amount": 10_000_000_000}, "total_amount"),
        ({"total_amount": "1e3"}, "total_amount"),
        ({"total_amount": False}, "total_amount"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_bill_is_refused_naming_the_field_and_not_queued(
    gateway: FlaskClient, channel: BlockingChannel, change: dict[str, object], field: str
) -> None:
    answer = gateway.post("/api/billing/", json={**BILL, **change})
    assert answer.status_code == 422
    assert answer.json is not None
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert taken(channel) == []


def test_a_repeated_key_gets_the_first_answer_and_queues_one_bill(
    gateway: FlaskClient, channel: BlockingChannel
) -> None:
    headers = {"Idempotency-Key": "key-1"}
    first, second = (gateway.post("/api/billing", json=BILL, headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.data == second.data
    assert len(taken(channel)) == 1
    other = gateway.post("/api/billing", json={**BILL, "user_id": "other"}, headers=headers)
    assert other.status_code == 422


def test_without_the_broker_bills_are_accepted_fast_and_delivered_when_it_is_back(
    gateway: FlaskClient,
    publisher: Publisher,
    gateway_db: Database,
    rabbitmq: RabbitMQ,
    relay: Callable[[], object],
    broker_settings: BrokerSettings,
) -> None:
    relay()
    with stopped(rabbitmq):
        started = time.monotonic()
        answers = [gateway.post("/api/billing", json=BILL) for _ in range(20)]
        assert time.monotonic() - started < 20
        assert {answer.status_code for answer in answers} == {202}
        ids = [answer.json["id"] for answer in answers if answer.json]
        assert set(outbox_ids(gateway_db)) >= set(ids[1:])
    wait_until(lambda: not outbox_ids(gateway_db, "sent_at IS NULL"), SECONDS, "an empty outbox")
    with connect(broker_settings) as connection:
        assert set(taken(connection.channel())) == set(ids)


def test_a_frozen_broker_is_bypassed_until_a_probe_is_confirmed(
    gateway_settings: Settings, empty_queue: None, gateway_db: Database, rabbitmq: RabbitMQ
) -> None:
    # the gateway's own: it does not wait for long
    with closing(create_publisher(gateway_settings, "test gateway")) as publisher:
        assert publisher.wait_until_ready(SECONDS)
        gateway = create_app(gateway_settings, publisher).test_client()

        def place() -> object:
            answer = gateway.post("/api/billing", json=BILL)
            assert answer.json is not None
            return answer.json["stored_in"]

        with frozen(rabbitmq):
            places = [place() for _ in range(3)]
            assert publisher._state is State.SUSPECT
        assert places == ["outbox"] * 3
        wait_until(publisher.is_ready, SECONDS, "the probe's confirm")
        wait_until(lambda: place() == "queue", SECONDS, "a bill to be confirmed in time")
