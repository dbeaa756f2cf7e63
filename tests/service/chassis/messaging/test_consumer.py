"""billing-consumer against a real broker and a real database."""

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pika
import pytest
import requests
from pika.adapters.blocking_connection import BlockingChannel

from billing.handlers.bill_recorder import BillHandler
from billing.settings import Settings
from chassis.errors import BrokerUnavailableError
from chassis.messaging.dead_letters import DeadLetters
from chassis.messaging.dlq_commands import DeadLetterQueue
from chassis.messaging.window import PREFETCH
from chassis.storage.database import Database
from tests.support import bill_consumer
from tests.support.bill_consumer import (
    DEAD,
    GOOD,
    QUEUE,
    SECONDS,
    consumers,
    in_hand,
    post,
    rows,
    wait_for_rows,
    waiting,
)
from tests.support.databases import altered
from tools.stack.servers.postgres import Postgres
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.waiting import wait_until

channel = bill_consumer.channel
consume = bill_consumer.consume
missing_table = bill_consumer.missing_table


def test_bills_are_recorded_once_each_with_their_message_id(
    channel: BlockingChannel, billing_db: Database, consume: Callable[[], threading.Event]
) -> None:
    ids = [str(uuid4()) for _ in range(250)]
    for message_id in [*ids, *ids[:50]]:
        post(channel, GOOD, message_id)
    consume()
    wait_until(lambda: waiting(channel, QUEUE) == 0, SECONDS, "an empty queue")
    wait_for_rows(billing_db, 250)
    assert sorted(row.message_id for row in rows(billing_db)) == sorted(ids)


def test_string_numbers_without_a_message_id_are_processed_too(
    channel: BlockingChannel, billing_db: Database, consume: Callable[[], threading.Event]
) -> None:
    post(channel, {"user_id": 20, "number_of_items": "5", "total_amount": "180"})
    consume()
    wait_for_rows(billing_db, 1)
    bill = rows(billing_db)[0]
    assert (bill.user_id, bill.number_of_items, str(bill.total_amount)) == ("20", 5, "180.00")
    assert bill.message_id
    assert bill.order_id is None


POISON: list[tuple[object, str]] = [
    (b"not json", "not JSON"),
    (b"[]", "must be a JSON object"),
    (b"\xff\xff", "not encoded in UTF-8"),
    (json.dumps(GOOD).encode("utf-16"), "encoded in UTF-16"),
    (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "byte order mark"),
    (
        b'{"total_amount": 1, ' + json.dumps(GOOD).encode()[1:],
        "total_amount: must be given once",
    ),
    (b"[" * 100_000, "nested"),
    ({"user_id": "a"}, "number_of_items"),
    ({**GOOD, "number_of_items": True}, "number_of_items"),
    ({**GOOD, "total_amount": 1.234}, "total_amount"),
    ({**GOOD, "user_id": "a\x00b"}, "NUL"),
    ({**GOOD, "surprise": 1}, "surprise"),
]


def test_poison_among_good_messages_goes_to_the_dead_letters_with_its_reason(
    channel: BlockingChannel, billing_db: Database, consume: Callable[[], threading.Event]
) -> None:
    for number, (body, _reason) in enumerate(POISON):
        post(channel, GOOD, f"good-{number}")
        post(channel, body, f"poison-{number}")
    post(channel, GOOD, "last")
    consume()
    wait_for_rows(billing_db, len(POISON) + 1)
    wait_until(lambda: waiting(channel, DEAD) == len(POISON), SECONDS, "the dead letters")
    found: dict[str | None, tuple[str, bytes]] = {}
    for _ in POISON:
        _method, properties, body = channel.basic_get(DEAD, auto_ack=True)
        assert properties is not None and properties.headers is not None and body is not None
        found[properties.message_id] = (properties.headers["x-dead-letter-reason"], body)
    for number, (given, reason) in enumerate(POISON):
        said, body = found[f"poison-{number}"]
        assert reason in said
        assert body == (given if isinstance(given, bytes) else json.dumps(given).encode())
    assert waiting(channel, QUEUE) == 0


def refusing(database: Database, user: str) -> AbstractContextManager[None]:
    """Have the database refuse a user's bills for a block."""
    change = f"ADD CONSTRAINT refused CHECK (user_id <> '{user}')"
    return altered(database, "orders", change, "ALTER TABLE orders DROP CONSTRAINT refused")


def test_a_message_that_only_the_database_refuses_stops_no_other(
    channel: BlockingChannel, billing_db: Database, consume: Callable[[], threading.Event]
) -> None:
    with refusing(billing_db, "cursed"):
        for user in ("a", "cursed", "b"):
            post(channel, {**GOOD, "user_id": user}, str(uuid4()))
        consume()
        wait_for_rows(billing_db, 2)
        wait_until(lambda: waiting(channel, DEAD) == 1, SECONDS, "a dead letter")
    assert {row.user_id for row in rows(billing_db)} == {"a", "b"}


def test_requeued_dead_letters_keep_their_id_and_are_processed(
    channel: BlockingChannel,
    billing_db: Database,
    billing_settings: Settings,
    consume: Callable[[], threading.Event],
) -> None:
    with refusing(billing_db, "x"):
        post(channel, {**GOOD, "user_id": "x"}, "the-id")
        consume()
        wait_until(lambda: waiting(channel, DEAD) == 1, SECONDS, "a dead letter")
    assert DeadLetterQueue(billing_settings.broker).requeue({"the-id"}) == 1
    wait_for_rows(billing_db, 1)
    assert rows(billing_db)[0].message_id == "the-id"
    assert waiting(channel, DEAD) == 0


def test_dead_letters_can_be_listed_and_discarded_one_by_one(
    channel: BlockingChannel, billing_settings: Settings, consume: Callable[[], threading.Event]
) -> None:
    for message_id in ("first", "second"):
        post(channel, b"poison", message_id)
    consume()
    wait_until(lambda: waiting(channel, DEAD) == 2, SECONDS, "dead letters")
    dlq = DeadLetterQueue(billing_settings.broker)
    assert {message.id for message in dlq.messages()} == {"first", "second"}
    assert all("not JSON" in message.reason for message in dlq.messages())
    assert dlq.discard({"first"}) == 1
    wait_until(lambda: waiting(channel, DEAD) == 1, SECONDS, "one dead letter left")
    assert [message.id for message in dlq.messages()] == ["second"]


def test_many_deliveries_beside_others_make_no_dead_letter(
    channel: BlockingChannel, billing_db: Database, consume: Callable[[], threading.Event]
) -> None:
    post(channel, GOOD, "bounced")
    for _ in range(42):
        method, _properties, _body = channel.basic_get(QUEUE)
        assert method is not None
        channel.basic_reject(method.delivery_tag or 0, requeue=True)
        wait_until(lambda: waiting(channel, QUEUE) == 1, SECONDS, "the message to be back")
    post(channel, GOOD, "good")
    consume()
    wait_for_rows(billing_db, 2)
    assert waiting(channel, DEAD) == 0


def test_two_consumers_at_once_record_each_bill_once(
    channel: BlockingChannel, billing_db: Database, consume: Callable[[], threading.Event]
) -> None:
    consume()
    consume()
    ids = [str(uuid4()) for _ in range(250)]
    for message_id in ids:
        post(channel, GOOD, message_id)
    wait_for_rows(billing_db, 250)
    assert sorted(row.message_id for row in rows(billing_db)) == sorted(ids)


def test_a_stopped_consumer_leaves_nothing_unacknowledged_that_it_has_recorded(
    channel: BlockingChannel, billing_db: Database, consume: Callable[[], threading.Event]
) -> None:
    stop = consume()
    for number in range(250):
        post(channel, GOOD, f"m{number}")
    wait_for_rows(billing_db, 1)
    stop.set()
    wait_until(
        lambda: len(rows(billing_db)) + waiting(channel, QUEUE) == 250,
        SECONDS,
        "recorded and waiting messages to add up",
    )


def test_a_stopped_consumer_finishes_all_messages_in_hand(
    channel: BlockingChannel,
    billing_db: Database,
    consume: Callable[[], threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another order and a higher count would be the price of a return to the queue."""
    apply, may_go_on = BillHandler.apply, threading.Event()

    def waiting_apply(self: BillHandler, *arguments: Any) -> None:
        assert may_go_on.wait(SECONDS)
        apply(self, *arguments)

    monkeypatch.setattr(BillHandler, "apply", waiting_apply)
    stop = consume()
    for number in range(PREFETCH):
        post(channel, GOOD, f"m{number}")
    wait_until(lambda: in_hand() == PREFETCH, SECONDS, "the bills to be in hand")
    stop.set()
    may_go_on.set()
    wait_until(lambda: consumers(channel) == 0, SECONDS, "no consumer")
    wait_until(lambda: in_hand() == 0, SECONDS, "nothing in hand")
    assert len(rows(billing_db)) == PREFETCH


def test_a_failing_database_makes_no_dead_letters(
    channel: BlockingChannel,
    billing_db: Database,
    missing_table: Callable[[], None],
    consume: Callable[[], threading.Event],
) -> None:
    for number in range(5):
        post(channel, GOOD, f"m{number}")
    consume()
    wait_until(lambda: in_hand() == 5, SECONDS, "the bills to be in hand")
    missing_table()
    wait_for_rows(billing_db, 5)
    assert waiting(channel, DEAD) == 0


def test_a_stop_while_the_database_is_unavailable_loses_nothing(
    channel: BlockingChannel,
    billing_db: Database,
    missing_table: Callable[[], None],
    consume: Callable[[], threading.Event],
) -> None:
    stop = consume()
    for number in range(6):
        post(channel, GOOD, f"m{number}")
        wait_until(lambda: in_hand() > number, SECONDS, "the bill to be in hand")  # noqa: B023
    stop.set()
    missing_table()
    wait_until(
        lambda: len(rows(billing_db)) + waiting(channel, QUEUE) == 6,
        SECONDS,
        "recorded and waiting messages to add up",
    )


def test_no_lost_connection_counts_against_a_message_while_the_database_is_unavailable(
    channel: BlockingChannel,
    billing_db: Database,
    billing_settings: Settings,
    postgres: Postgres,
    rabbitmq: RabbitMQ,
    consume: Callable[[], threading.Event],
) -> None:
    consume()
    wait_until(lambda: consumers(channel) == 1, SECONDS, "a consumer")
    postgres.stop()
    try:
        post(channel, GOOD, "m")
        wait_until(lambda: in_hand() == 1, SECONDS, "the bill to be in hand")
        for _ in range(3):
            wait_until(lambda: has_closed_one(rabbitmq), SECONDS, "the consumer's connection")
            wait_until(lambda: waiting(channel, QUEUE) == 1, SECONDS, "the bill to be in the queue")
        method, properties, _body = channel.basic_get(QUEUE)
        assert method is not None and properties is not None and properties.headers is not None
        assert properties.headers["x-delivery-count"] == 1
        channel.basic_reject(method.delivery_tag or 0, requeue=True)
    finally:
        postgres.start()
    wait_for_rows(billing_db, 1)


def has_closed_one(rabbitmq: RabbitMQ) -> bool:
    """Close the consumer's connections, as somebody does in the management UI."""
    try:
        found = rabbitmq.ask("/api/connections").json()
        names = [c["name"] for c in found if c.get("user_provided_name") == "test consumer"]
        return requests.codes.no_content in [close(rabbitmq, name) for name in names]
    except requests.RequestException:
        return False


def close(rabbitmq: RabbitMQ, name: str) -> int:
    """Close a connection; 404 is said of one that is still listed, but gone."""
    url = f"http://{rabbitmq.host}:{rabbitmq.management_port}/api/connections/{quote(name)}"
    return requests.delete(url, auth=rabbitmq.credentials, timeout=10).status_code


@pytest.mark.parametrize("count", ["abc", 100])
def test_a_delivery_count_that_the_client_made_up_is_not_believed(
    channel: BlockingChannel,
    billing_db: Database,
    consume: Callable[[], threading.Event],
    count: object,
) -> None:
    properties = pika.BasicProperties(message_id="m", headers={"x-delivery-count": count})
    channel.basic_publish("", QUEUE, json.dumps(GOOD).encode(), properties)
    consume()
    wait_for_rows(billing_db, 1)
    assert waiting(channel, DEAD) == 0


def test_poison_stops_no_other_message_while_the_broker_blocks_publishers(
    channel: BlockingChannel,
    billing_db: Database,
    rabbitmq: RabbitMQ,
    consume: Callable[[], threading.Event],
) -> None:
    post(channel, b"poison", "poison")
    for number in range(250):
        post(channel, GOOD, f"m{number}")
    rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        consume()
        wait_for_rows(billing_db, 250)
    finally:
        rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1GB")
    # twice where the first copy's confirm came too late
    wait_until(lambda: waiting(channel, DEAD) > 0, SECONDS, "the dead letter")
    wait_until(lambda: waiting(channel, QUEUE) == 0, SECONDS, "an empty queue")


LARGE = "é" * 65_000  # of a frame's 128 KiB nearly all


def test_a_dead_letter_leaves_out_headers_that_its_frame_has_no_room_for_and_says_which(
    channel: BlockingChannel,
    billing_db: Database,
    billing_settings: Settings,
    consume: Callable[[], threading.Event],
) -> None:
    headers = {"large": LARGE, "small": "kept", "X-Request-ID": "the-request"}
    properties = pika.BasicProperties(message_id="poison", headers=headers)
    channel.basic_publish("", QUEUE, b'{"\\ud800": 1}', properties)
    post(channel, GOOD, "good")
    stop = consume()
    wait_for_rows(billing_db, 1)
    wait_until(lambda: waiting(channel, DEAD) == 1, SECONDS, "a dead letter")
    [message] = DeadLetterQueue(billing_settings.broker).messages()
    found = message.properties.headers or {}
    assert found["small"] == "kept" and found["X-Request-ID"] == "the-request"
    assert found["x-headers-left-out"] == "large (130,011 bytes)"
    stop.set()
    wait_until(lambda: consumers(channel) == 0, SECONDS, "no consumer")
    assert DeadLetterQueue(billing_settings.broker).requeue({"poison"}) == 1
    _method, again, _body = channel.basic_get(QUEUE, auto_ack=True)
    assert again is not None and again.headers is not None
    assert again.headers["x-headers-left-out"] == "large (130,011 bytes)"


def test_messages_with_large_headers_that_the_broker_dead_lettered_can_be_requeued(
    channel: BlockingChannel, billing_settings: Settings
) -> None:
    properties = pika.BasicProperties(message_id="m", headers={"large": LARGE})
    channel.basic_publish("", DEAD, b"{}", properties)
    assert DeadLetterQueue(billing_settings.broker).requeue({"m"}) == 1
    _method, again, _body = channel.basic_get(QUEUE, auto_ack=True)
    assert again is not None and again.headers is not None
    assert again.headers["x-headers-left-out"] == "large (130,011 bytes)"
    assert "large" not in again.headers


def test_a_dead_letter_that_cannot_be_published_waits_while_others_pass_it(
    channel: BlockingChannel,
    billing_db: Database,
    consume: Callable[[], threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put, mended = DeadLetters.put, threading.Event()

    def failing(self: DeadLetters, body: bytes, properties: Any, reason: str) -> None:
        if properties.message_id == "stuck" and not mended.is_set():
            raise BrokerUnavailableError("it can't be published")
        put(self, body, properties, reason)

    monkeypatch.setattr(DeadLetters, "put", failing)
    for message_id in ("stuck", "other"):
        post(channel, b"poison", message_id)
    for number in range(300):
        post(channel, GOOD, f"m{number}")
    stop = consume()
    wait_for_rows(billing_db, 300)
    wait_until(lambda: waiting(channel, DEAD) == 1, SECONDS, "the other dead letter")
    stop.set()
    wait_until(lambda: waiting(channel, QUEUE) == 1, SECONDS, "the stuck one to be back")
    mended.set()
    consume()
    wait_until(lambda: waiting(channel, DEAD) == 2, SECONDS, "both dead letters")
    assert waiting(channel, QUEUE) == 0
