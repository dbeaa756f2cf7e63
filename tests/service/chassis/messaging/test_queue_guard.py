"""A consumer whose queue is dead, or not bound as it should be, against a real broker."""

import json
import math
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError
from pydantic import SecretStr

from chassis.errors import BrokerUnavailableError
from chassis.messaging import drain_command
from chassis.messaging.consumer import Consumer
from chassis.messaging.declarations import Binding, Exchange, Queue, Topology
from chassis.messaging.delivery import Delivery, RejectedError
from chassis.messaging.message import Message
from chassis.messaging.publisher import Publisher
from chassis.settings import BrokerSettings
from tests.support.amqp import channel_with_empty, connect
from tests.support.at_work import at_work
from tests.support.outages import queues_stopped
from tests.support.watched import gauge
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.waiting import wait_until

QUEUE, DEAD, EXCHANGE = "guard-test", "guard-test.dlq", "guard-events"
FORMER = "guard-before"
POISON = b"poison"
TOPOLOGY: Topology = (
    Queue(QUEUE),
    Queue(DEAD),
    Exchange(EXCHANGE, "topic"),
    Binding(QUEUE, EXCHANGE, "thing.*"),
)
SECONDS = 60.0
Bodies = list[bytes]


@dataclass
class Noting:
    """A handler that notes the bodies that it was given."""

    bodies: Bodies = field(default_factory=list)

    def check(self) -> None:
        """There is nothing that could be away."""

    def parse(self, delivery: Delivery) -> bytes:
        """The body is what there is to note, unless it is poison."""
        if delivery.body == POISON:
            raise RejectedError("It is poison.")
        return delivery.body

    def aggregate(self, item: bytes) -> None:
        """Nothing has an order."""

    def apply(self, items: Sequence[bytes], lock_seconds: float | None = None) -> None:
        """Note them."""
        self.bodies.extend(items)

    def is_outage(self, _error: Exception) -> bool:
        """Nothing is."""
        return False


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens every minute happens every second."""
    monkeypatch.setattr("chassis.messaging.queue_guard.CHECK_SECONDS", 0.3)
    monkeypatch.setattr("chassis.messaging.declarations.DECLARE_SECONDS", 1.0)


@pytest.fixture
def settings(broker_settings: BrokerSettings) -> BrokerSettings:
    """The broker, for the queue of these tests."""
    return broker_settings.for_queue(QUEUE)


@pytest.fixture
def handler() -> Noting:
    """What the consumer was given."""
    return Noting()


@pytest.fixture
def consumer(settings: BrokerSettings, handler: Noting) -> Iterator[Consumer[bytes]]:
    """A consumer that consumes."""
    stop = threading.Event()
    consumer = Consumer(settings, "guarded", TOPOLOGY, handler, stop)
    with at_work(lambda _stop: consumer.run()):
        try:
            wait_until(lambda: fault(consumer) == "", SECONDS, "the consumer to be ready")
            yield consumer
        finally:
            stop.set()


@pytest.fixture
def publish(settings: BrokerSettings) -> Iterator[Callable[[Message], None]]:
    """Publishes by another connection; it declares nothing."""
    with closing(Publisher(settings, "other", [], timeout=20)) as publisher:
        publisher.start()

        def published(message: Message) -> None:
            assert publisher.wait_until_ready(SECONDS)
            publisher.publish(message)

        yield published


@pytest.fixture
def channel(settings: BrokerSettings) -> Iterator[BlockingChannel]:
    """A channel beside the consumer's."""
    with connect(settings) as connection:
        yield connection.channel()


def fault(consumer: Consumer[bytes]) -> str:
    """What the consumer says is wrong; nothing if it is ready."""
    try:
        consumer.check()
    except BrokerUnavailableError as error:
        return str(error)
    return ""


@contextmanager
def full(rabbitmq: RabbitMQ, queue: str) -> Iterator[None]:
    """Have a queue take no more messages: it has more than it may."""
    place = ("-p", rabbitmq.vhost)
    limit = json.dumps({"max-length": 1, "overflow": "reject-publish"})
    options = ("--apply-to", "queues", "--priority", "9")
    rabbitmq.control("set_policy", *place, *options, "full", f"^{re.escape(queue)}$", limit)
    try:
        yield
    finally:
        rabbitmq.control("clear_policy", *place, "full")


def is_refused(channel: BlockingChannel, queue: str) -> bool:
    """Whether a queue refuses one more message."""
    try:
        channel.basic_publish("", queue, b"fills it")
    except NackError:
        return True
    return False


def test_a_consumer_of_a_dead_queue_is_not_ready_until_the_queue_lives_again(
    consumer: Consumer[bytes],
    handler: Noting,
    publish: Callable[[Message], None],
    rabbitmq: RabbitMQ,
) -> None:
    depths = [
        partial(gauge, name, queue=QUEUE) for name in ("messages_waiting", "dead_letters_waiting")
    ]
    wait_until(lambda: all(depth() == 0 for depth in depths), SECONDS, "the depths to be known")
    publish(Message(b"before", QUEUE))
    wait_until(lambda: b"before" in handler.bodies, SECONDS, "the first message")
    with queues_stopped(rabbitmq):
        wait_until(lambda: QUEUE in fault(consumer), SECONDS, "the dead queue to be named")
        unknown = "no depth to be shown of a dead queue"
        wait_until(lambda: all(math.isnan(depth()) for depth in depths), SECONDS, unknown)
        # also while it connects again and again
        ready = threading.Event()
        assert not any(ready.wait(0.1) or fault(consumer) == "" for _ in range(30))
    wait_until(lambda: fault(consumer) == "", SECONDS, "the consumer to be ready again")
    wait_until(lambda: all(depth() == 0 for depth in depths), SECONDS, "the depths to be known")
    publish(Message(b"after", QUEUE))
    wait_until(lambda: b"after" in handler.bodies, SECONDS, "the message after")


def test_dead_letters_are_counted_until_somebody_has_decided(
    consumer: Consumer[bytes], publish: Callable[[Message], None], channel: BlockingChannel
) -> None:
    for _ in range(2):
        publish(Message(POISON, QUEUE))
    waiting = partial(gauge, "dead_letters_waiting", queue=QUEUE)
    wait_until(lambda: waiting() == 2, SECONDS, "both to be counted")
    channel.queue_purge(DEAD)
    wait_until(lambda: waiting() == 0, SECONDS, "none to be left")


def test_a_dead_letter_that_is_refused_is_held_and_shown_until_it_is_taken(
    consumer: Consumer[bytes],
    handler: Noting,
    publish: Callable[[Message], None],
    rabbitmq: RabbitMQ,
    channel: BlockingChannel,
) -> None:
    held = partial(gauge, "dead_letters_held", queue=QUEUE)
    channel.confirm_delivery()
    with full(rabbitmq, DEAD):
        wait_until(lambda: is_refused(channel, DEAD), SECONDS, "the queue to be full")
        publish(Message(POISON, QUEUE))
        wait_until(lambda: held() == 1, SECONDS, "the poison to be held")
        publish(Message(b"good", QUEUE))
        wait_until(lambda: b"good" in handler.bodies, SECONDS, "the good one to pass it")
        assert held() == 1
    wait_until(lambda: held() == 0, SECONDS, "the poison to be put aside")
    channel.queue_purge(DEAD)


def test_messages_in_a_former_queue_are_counted_until_they_are_moved(
    consumer: Consumer[bytes], settings: BrokerSettings, publish: Callable[[Message], None]
) -> None:
    stranded = partial(gauge, "messages_stranded", queue=FORMER)
    with channel_with_empty(settings, FORMER, f"{FORMER}.dlq") as channel:
        consumer.watch_former([FORMER, "guard-that-is-none"])
        channel.basic_publish("", FORMER, b"1")
        channel.basic_publish("", f"{FORMER}.dlq", b"2")
        wait_until(lambda: stranded() == 2, SECONDS, "both to be counted")
        assert drain_command.drain_queue(settings, FORMER) == 2
        wait_until(lambda: stranded() == 0, SECONDS, "none to be left")
        channel.queue_purge(DEAD)
        channel.queue_delete(FORMER)
        channel.queue_delete(f"{FORMER}.dlq")
    assert gauge("messages_stranded", queue="guard-that-is-none") == 0


@pytest.mark.parametrize("removed", ["binding", "exchange", "queue"])
def test_removed_queues_and_bindings_are_declared_again(
    consumer: Consumer[bytes],
    handler: Noting,
    publish: Callable[[Message], None],
    channel: BlockingChannel,
    removed: str,
) -> None:
    if removed == "binding":
        channel.queue_unbind(QUEUE, EXCHANGE, "thing.*")
    elif removed == "exchange":
        channel.exchange_delete(EXCHANGE)
    else:
        channel.queue_delete(QUEUE)

    def arrives() -> bool:
        try:
            publish(Message(b"thing", "thing.made", EXCHANGE))
        except BrokerUnavailableError:
            return False
        return True

    wait_until(arrives, SECONDS, "a queue to take the event")
    wait_until(lambda: b"thing" in handler.bodies, SECONDS, "the event")


def test_a_refused_login_is_reported_as_one(settings: BrokerSettings, handler: Noting) -> None:
    strange = settings.model_copy(update={"password": SecretStr("none of ours")})
    stop = threading.Event()
    consumer = Consumer(strange, "stranger", TOPOLOGY, handler, stop)
    with at_work(lambda _stop: consumer.run()):
        try:
            wait_until(
                lambda: "refuses the login of rabbitmq_user" in fault(consumer),
                SECONDS,
                "the refusal",
            )
        finally:
            stop.set()
