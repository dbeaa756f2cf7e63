"""The grouped publisher against a real broker."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from uuid import uuid4

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import SecretStr

from chassis.errors import BrokerUnavailableError
from chassis.messaging import declarations
from chassis.messaging.declarations import Queue
from chassis.messaging.message import Message
from chassis.messaging.publisher import Publisher, State
from chassis.settings import BrokerSettings
from tests.support.amqp import connect
from tests.support.link import linked
from tests.support.outages import cut_power, queues_stopped
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.waiting import wait_until

QUEUE = "publisher-test"
SECONDS = 60.0


@pytest.fixture
def channel(broker_settings: BrokerSettings) -> Iterator[BlockingChannel]:
    """A channel beside the publisher's, with the queue empty."""
    with connect(broker_settings) as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True, arguments=declarations.QUORUM)
        channel.queue_purge(QUEUE)
        yield channel


@pytest.fixture
def publisher(broker_settings: BrokerSettings) -> Iterator[Publisher]:
    """A publisher that is connected."""
    with connected(broker_settings, timeout=20) as publisher:
        yield publisher


@contextmanager
def connected(settings: BrokerSettings, timeout: float) -> Iterator[Publisher]:
    """Lend a publisher that is connected and waits so long for a confirm."""
    with closing(Publisher(settings, "test publisher", [Queue(QUEUE)], timeout)) as publisher:
        publisher.start()
        assert publisher.wait_until_ready(SECONDS)
        yield publisher


def bodies(channel: BlockingChannel) -> list[bytes]:
    """Take all that is in the queue."""
    taken: list[bytes] = []
    while True:
        method, _properties, body = channel.basic_get(QUEUE, auto_ack=True)
        if method is None:
            return taken
        taken.append(body or b"")


def test_a_published_message_is_persistent_and_carries_its_ids(
    publisher: Publisher, channel: BlockingChannel
) -> None:
    message = Message(b'{"a": 1}', QUEUE, headers={"X-Request-ID": "r"})
    publisher.publish(message)
    _method, properties, body = channel.basic_get(QUEUE, auto_ack=True)
    assert body == b'{"a": 1}'
    assert properties is not None
    assert (properties.delivery_mode, properties.message_id) == (2, message.id)
    assert properties.content_type == "application/json"
    assert properties.timestamp is not None
    assert properties.headers is not None
    assert properties.headers["X-Request-ID"] == "r"


def test_messages_of_many_threads_arrive_once_each(
    publisher: Publisher, channel: BlockingChannel
) -> None:
    sent = [str(number).encode() for number in range(400)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda body: publisher.publish(Message(body, QUEUE)), sent))
    assert sorted(bodies(channel)) == sorted(sent)


def test_messages_of_one_thread_arrive_in_their_order(
    publisher: Publisher, channel: BlockingChannel
) -> None:
    sent = [str(number).encode() for number in range(200)]
    answers = [publisher.submit(Message(body, QUEUE)) for body in sent]
    assert not any(answer.failure(SECONDS) for answer in answers)
    assert bodies(channel) == sent


def test_a_mandatory_message_that_no_queue_takes_fails(publisher: Publisher) -> None:
    with pytest.raises(BrokerUnavailableError, match="no queue took"):
        publisher.publish(Message(b"x", f"nowhere-{uuid4()}"))


def test_a_message_that_fits_no_amqp_frame_fails_alone(
    publisher: Publisher, channel: BlockingChannel
) -> None:
    messages = [Message(b"x", "k" * 256), Message(b"y", QUEUE), Message(b"z", f"nowhere-{uuid4()}")]
    answers = [publisher.submit(message) for message in messages]
    failures = [str(answer.failure(SECONDS)) for answer in answers]
    assert "can't be published" in failures[0]
    assert failures[1] == "None"
    assert "no queue took" in failures[2]
    assert bodies(channel) == [b"y"]


def test_a_message_published_twice_is_answered_twice(
    publisher: Publisher, channel: BlockingChannel
) -> None:
    message = Message(b"x", QUEUE)
    for answer in [publisher.submit(message) for _ in range(2)]:
        assert answer.failure(SECONDS) is None
    lost = Message(b"x", f"nowhere-{uuid4()}")
    for answer in [publisher.submit(lost) for _ in range(2)]:
        assert "no queue took" in str(answer.failure(SECONDS))
    wait_until(lambda: not publisher._confirms, SECONDS, "all confirms")
    assert len(bodies(channel)) == 2


def test_an_event_without_a_bound_queue_counts_as_delivered(
    publisher: Publisher,
) -> None:
    publisher.publish(Message(b"x", f"nowhere-{uuid4()}", mandatory=False))


def test_a_deleted_queue_is_declared_again(publisher: Publisher, channel: BlockingChannel) -> None:
    channel.queue_delete(QUEUE)
    with pytest.raises(BrokerUnavailableError):
        publisher.publish(Message(b"lost queue", QUEUE))
    again = Message(b"again", QUEUE)
    wait_until(lambda: published(publisher, again), SECONDS, "the queue to be declared again")
    assert bodies(channel) == [b"again"]


def published(publisher: Publisher, message: Message) -> bool:
    """Publish; tell whether the broker has confirmed it."""
    try:
        publisher.publish(message)
    except BrokerUnavailableError:
        return False
    return True


def test_an_unreachable_broker_fails_messages_at_once_and_takes_them_once_it_is_back(
    broker_settings: BrokerSettings,
) -> None:
    message = Message(b"x", QUEUE)
    with linked(broker_settings.port) as link:
        there = broker_settings.model_copy(update={"port": link.port})
        with connected(there, timeout=20) as publisher:
            publisher.publish(message)
            with link.cut():
                wait_until(
                    lambda: publisher._state is State.DOWN, SECONDS, "the loss to be noticed"
                )
                with pytest.raises(BrokerUnavailableError):
                    publisher.publish(message)
            assert publisher.wait_until_ready(SECONDS)
            publisher.publish(message)


def test_every_message_is_answered_when_the_broker_is_killed_under_load(
    publisher: Publisher, rabbitmq: RabbitMQ
) -> None:
    outcomes: list[str] = []
    killed = threading.Event()

    def publish_on(_thread: int) -> None:
        while not killed.is_set() or publisher._state is not State.DOWN:
            try:
                failure = publisher.submit(Message(b"x", QUEUE)).failure(SECONDS)
            except BrokerUnavailableError as error:
                failure = error
            outcomes.append("failed" if failure else "confirmed")
            if failure and killed.wait(0.01) and publisher._state is State.DOWN:
                return

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(publish_on, thread) for thread in range(8)]
        wait_until(lambda: len(outcomes) > 200, SECONDS, "some traffic")
        cut_power(rabbitmq)
        killed.set()
        for thread in running:
            thread.result(SECONDS)
    rabbitmq.start()
    assert "failed" in outcomes
    assert not publisher._confirms
    assert publisher.wait_until_ready(SECONDS)


def test_while_the_broker_blocks_publishers_messages_are_refused_at_once(
    broker_settings: BrokerSettings, rabbitmq: RabbitMQ
) -> None:
    message = Message(b"x", QUEUE)
    # what it publishes when the broker begins to block is confirmed by nobody
    with connected(broker_settings, timeout=2) as publisher:
        rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            wait_until(lambda: _blocked(publisher), SECONDS, "the broker to block")
            with pytest.raises(BrokerUnavailableError, match="blocked"):
                publisher.publish(message)
        finally:
            rabbitmq.control("set_vm_memory_high_watermark", "absolute", "1GB")
        assert publisher.wait_until_ready(SECONDS)
        wait_until(lambda: published(publisher, message), SECONDS, "the broker to take messages")


def test_dead_queues_are_noticed_and_taken_from_again_after_a_restart(
    broker_settings: BrokerSettings, rabbitmq: RabbitMQ
) -> None:
    message = Message(b"x", QUEUE)
    with connected(broker_settings, timeout=1) as publisher:
        publisher.publish(message)
        with queues_stopped(rabbitmq):

            def has_noticed() -> bool:
                published(publisher, message)
                return _unready_because(publisher, f"no message for {QUEUE}")

            wait_until(has_noticed, SECONDS, "the publisher to say which queue takes nothing")
        wait_until(lambda: published(publisher, message), SECONDS, "the queue to take messages")
        publisher.check()


def test_an_overdue_confirm_ends_the_connection(
    broker_settings: BrokerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.messaging.publisher.OVERDUE_SECONDS", 1.0)
    with connected(broker_settings, timeout=20) as publisher:
        # as if the broker had answered for another message
        monkeypatch.setattr(publisher._confirms, "settle", lambda *_answer: None)
        with pytest.raises(BrokerUnavailableError, match="not confirmed"):
            publisher.publish(Message(b"x", QUEUE))
        monkeypatch.undo()
        wait_until(lambda: published(publisher, Message(b"y", QUEUE)), SECONDS, "a new connection")


def test_messages_refused_by_a_policy_are_accepted_once_it_is_removed(
    publisher: Publisher, channel: BlockingChannel, rabbitmq: RabbitMQ
) -> None:
    message = Message(b"x", QUEUE)
    limits = json.dumps({"max-length": 1, "overflow": "reject-publish"})
    vhost = ("-p", rabbitmq.vhost)
    rabbitmq.control("set_policy", *vhost, "full", f"^{QUEUE}$", limits, "--priority", "50")
    try:
        wait_until(lambda: not published(publisher, message), SECONDS, "the queue to be full")
        publisher.publish(Message(b"elsewhere", f"nowhere-{uuid4()}", mandatory=False))
    finally:
        rabbitmq.control("clear_policy", *vhost, "full")
    wait_until(lambda: published(publisher, message), SECONDS, "the queue to take messages")
    publisher.check()


def test_a_refused_login_is_reported_as_one(broker_settings: BrokerSettings) -> None:
    strange = broker_settings.model_copy(update={"password": SecretStr("none of ours")})
    with closing(Publisher(strange, "test publisher", [])) as publisher:
        publisher.start()
        wait_until(
            lambda: _unready_because(publisher, "refuses the login of rabbitmq_user"),
            SECONDS,
            "the refusal",
        )


def _unready_because(publisher: Publisher, words: str) -> bool:
    """Whether the publisher's own check fails with these words."""
    try:
        publisher.check()
    except BrokerUnavailableError as error:
        return words in str(error)
    return False


def _blocked(publisher: Publisher) -> bool:
    """Publish; tell whether the broker blocks: it says so when something is published."""
    return not published(publisher, Message(b"x", QUEUE)) and publisher._state is State.BLOCKED


def test_headers_beyond_a_frame_fail_alone_and_leave_the_connection_open(
    publisher: Publisher, channel: BlockingChannel
) -> None:
    with pytest.raises(BrokerUnavailableError, match=r"its headers take 140,\d+ bytes"):
        publisher.publish(Message(b"large", QUEUE, headers={"large": "x" * 140_000}))
    assert publisher.is_ready()
    publisher.publish(Message(b"next", QUEUE, headers={"wide": "é" * 60_000}))
    assert bodies(channel) == [b"next"]
