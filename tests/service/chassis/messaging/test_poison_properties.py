"""Messages whose properties and headers are hard to read, to carry or to put aside."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from pika import data
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError
from pika.spec import BasicProperties

from billing.settings import Settings
from chassis.messaging import dlq_commands
from chassis.messaging.amqp_tables import RawValue
from chassis.messaging.dead_letters import REASON
from chassis.messaging.dlq_commands import DeadLetterQueue
from chassis.messaging.window import PREFETCH
from chassis.storage.database import Database
from tests.support import bill_consumer
from tests.support.bill_consumer import DEAD, GOOD, QUEUE, SECONDS, post, wait_for_rows, waiting
from tools.drills.workload.poison import MILLISECONDS, nested
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.waiting import wait_until

channel, consume = bill_consumer.channel, bill_consumer.consume
Consume = Callable[[], threading.Event]

HEADERS: dict[str, Any] = {
    "milliseconds": MILLISECONDS,
    "latest": RawValue(b"T", b"\xff" * 8),
    "nested": nested(2000),
    "both": {"deep": [nested(1000), MILLISECONDS]},
    "fraction": 1.5,
    "no": None,
    "yes": True,
    "bytes": b"\xff\x00",
}


def publish(channel: BlockingChannel, queue: str, body: bytes, **properties: Any) -> None:
    """Publish a message as another client would."""
    channel.basic_publish("", queue, body, BasicProperties(**properties))


def test_bills_with_headers_that_nobody_can_read_are_recorded_as_others_are(
    channel: BlockingChannel, billing_db: Database, consume: Consume
) -> None:
    body = b'{"user_id": "u", "number_of_items": 1, "total_amount": 1}'
    for name, value in HEADERS.items():
        publish(channel, QUEUE, body, message_id=name, headers={name: value})
    post(channel, GOOD, "good")
    consume()
    wait_for_rows(billing_db, len(HEADERS) + 1)
    assert {row.message_id for row in bill_consumer.rows(billing_db)} == {*HEADERS, "good"}
    wait_until(lambda: waiting(channel, QUEUE) == 0, SECONDS, "an empty queue")
    assert waiting(channel, DEAD) == 0


def test_a_dead_letter_keeps_types_and_properties_on_its_way_there_and_back(
    channel: BlockingChannel, billing_db: Database, billing_settings: Settings, consume: Consume
) -> None:
    described = {
        "content_type": "text/x-odd",
        "content_encoding": "identity",
        "correlation_id": "c-1",
        "reply_to": "r-1",
        "app_id": "till 7",
        "type": "bill",
        "timestamp": 1_772_000_000_000,
        "priority": 3,
    }
    publish(channel, QUEUE, b"poison", message_id="odd", headers=HEADERS, **described)
    stop = consume()
    wait_until(lambda: waiting(channel, DEAD) == 1, SECONDS, "a dead letter")
    stop.set()
    wait_until(lambda: bill_consumer.consumers(channel) == 0, SECONDS, "no consumer")
    dlq = DeadLetterQueue(billing_settings.broker)
    [message] = dlq.messages()
    assert dlq.requeue({"odd"}) == 1
    _method, again, _body = channel.basic_get(QUEUE, auto_ack=True)
    assert again is not None
    for properties in (message.properties, again):
        assert {name: getattr(properties, name) for name in described} == described
        headers = dict(properties.headers or {})
        headers.pop("x-delivery-count", None)
        if properties is not again:
            assert "not JSON" in str(headers.pop(REASON))
            headers.pop("x-dead-letter-time")
        pieces: list[bytes] = []
        expected: list[bytes] = []
        for name, value in HEADERS.items():
            data.encode_value(pieces, headers.pop(name))
            data.encode_value(expected, value)
        assert b"".join(pieces) == b"".join(expected)
        assert not headers


LARGE: dict[str, dict[Any, Any]] = {
    "long text": {"large": "x" * 130_900},
    "many names": {f"b{number}": True for number in range(14_000)},
    "60,000 bools": {"flags": [True] * 60_000},
    "nested": {"nested": nested(25_000)},
    "no UTF-8": {b"\xff" * 100: "x"},
}


def test_a_dead_letter_always_fits_and_holds_up_no_bill(
    channel: BlockingChannel, billing_db: Database, consume: Consume
) -> None:
    for name, headers in LARGE.items():
        publish(channel, QUEUE, b"poison", message_id=name, headers=headers)
        for number in range(5):
            post(channel, GOOD, f"after {name} {number}")
    consume()
    wait_for_rows(billing_db, 5 * len(LARGE))
    wait_until(lambda: waiting(channel, DEAD) == len(LARGE), SECONDS, "the dead letters")
    wait_until(lambda: waiting(channel, QUEUE) == 0, SECONDS, "an empty queue")
    dead = [channel.basic_get(DEAD, auto_ack=True)[1] for _ in LARGE]
    assert {properties.message_id for properties in dead if properties} == {*LARGE}


@pytest.fixture
def full(channel: BlockingChannel, rabbitmq: RabbitMQ) -> Iterator[None]:
    """The dead-letter queue takes nothing."""
    limits = json.dumps({"max-length": 1, "overflow": "reject-publish"})
    pattern = f"^{re.escape(DEAD)}$"
    names = ("-p", "billing_vhost", "full-dead-letters")
    rabbitmq.control("set_policy", "--priority", "9", *names, pattern, limits)

    def is_refused() -> bool:
        try:
            publish(channel, DEAD, b"full", message_id="full")
        except NackError:
            return True
        return False

    wait_until(is_refused, SECONDS, "a full queue")
    yield
    rabbitmq.control("clear_policy", *names)


def test_good_messages_pass_any_number_of_unpublishable_dead_letters(
    full: None, channel: BlockingChannel, billing_db: Database, consume: Consume
) -> None:
    for number in range(PREFETCH + 50):
        post(channel, b"poison", f"poison-{number}")
    for number in range(50):
        post(channel, GOOD, f"m{number}")
    consume()
    wait_for_rows(billing_db, 50)
    # none of them is lost: each is in hand
    assert bill_consumer.in_hand() == PREFETCH + 50


def test_the_commands_take_dead_letters_with_headers_that_nobody_can_read(
    channel: BlockingChannel, billing_settings: Settings
) -> None:
    publish(channel, DEAD, b"{}", message_id=b"\xff\xfe", headers=HEADERS)
    publish(channel, DEAD, b"{}", message_id="plain", headers={b"\xff": {b"\xfe": [b"\xfd"]}})
    dlq = DeadLetterQueue(billing_settings.broker)
    odd = next(message.id for message in dlq.messages() if message.id != "plain")
    assert odd == r"\udcff\udcfe"
    commands = dlq_commands.commands(lambda: billing_settings.broker)
    listed = CliRunner().invoke(commands, ["list"])
    assert listed.exit_code == 0 and len(listed.output.splitlines()) == 2
    for message_id in (odd, "plain"):
        shown = CliRunner().invoke(commands, ["show", message_id])
        assert shown.exit_code == 0, shown.output
    assert dlq.requeue({odd}) == 1
    assert dlq.discard({"plain"}) == 1
    _method, again, _body = channel.basic_get(QUEUE, auto_ack=True)
    assert again is not None and again.message_id == b"\xff\xfe"


def test_a_message_that_ends_the_connection_counts_against_no_other(
    channel: BlockingChannel,
    billing_db: Database,
    consume: Consume,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever pika can't read: as if there were more such bytes than we know of."""
    read, ended = BasicProperties.decode, threading.Semaphore(0)

    def failing(self: BasicProperties, encoded: bytes, offset: int = 0) -> Any:
        if b"bomb" in encoded:
            ended.release()
            raise ValueError("these bytes can't be read")
        return read(self, encoded, offset)  # type: ignore[no-untyped-call]

    post(channel, GOOD, "bomb")
    for number in range(20):
        post(channel, GOOD, f"m{number}")
    monkeypatch.setattr(BasicProperties, "decode", failing)
    stop = consume()
    for _ in range(5):
        assert ended.acquire(timeout=SECONDS)
    stop.set()
    wait_until(lambda: bill_consumer.consumers(channel) == 0, SECONDS, "no consumer")
    monkeypatch.undo()
    counts: dict[str, int] = {}
    while waiting(channel, QUEUE):
        _method, properties, _body = channel.basic_get(QUEUE)
        if properties is not None:
            counts[str(properties.message_id)] = (properties.headers or {})["x-delivery-count"]
    assert counts.pop("bomb") >= 4
    # once, when nobody could know yet; who comes before the bomb is recorded
    assert max(counts.values(), default=0) <= 1
    assert len(counts) + len(bill_consumer.rows(billing_db)) == 20
