"""The process that reserves stock: several at once, killed, and given poison."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import uuid4

import pika
import pytest
from flask.testing import FlaskClient
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from chassis.messaging.message import Message
from chassis.storage import database
from chassis.storage.database import Database
from inventory import consumer
from inventory.settings import Settings
from tests.support.amqp import channel_with_empty
from tests.support.at_work import at_work
from tests.support.outages import frozen
from tests.support.process import Process, environment
from tests.support.products_api import adjust, create
from tests.support.reservations import (
    CANCELLED,
    CREATED,
    DEAD,
    EXCHANGE,
    QUEUE,
    SECONDS,
    order,
    reserved,
    states,
    stocks,
    told,
    told_types,
)
from tools.stack.servers.postgres import Postgres
from tools.stack.waiting import wait_until


def messages_applied(database: Database) -> int:
    """How many messages have been applied, each counted once."""
    with database.autocommit() as connection:
        return int(connection.execute(text("SELECT count(*) FROM inbox")).scalar_one())


@pytest.fixture
def channel(inventory_settings: Settings) -> Iterator[BlockingChannel]:
    """A channel beside the consumer's; the exchange is there, the queues are empty."""
    with channel_with_empty(inventory_settings.broker, QUEUE, DEAD) as channel:
        channel.exchange_declare(EXCHANGE, "topic", durable=True)
        for type in (CREATED, CANCELLED):
            channel.queue_bind(QUEUE, EXCHANGE, type)
        yield channel


def publish(channel: BlockingChannel, message: Message) -> None:
    """Publish an event as the relay of orders does."""
    properties = pika.BasicProperties(message_id=message.id, delivery_mode=2)
    channel.basic_publish(EXCHANGE, message.routing_key, message.body, properties)


def waiting(channel: BlockingChannel, queue: str) -> int:
    """How many messages are ready in a queue."""
    return int(channel.queue_declare(queue, passive=True).method.message_count)


@pytest.fixture
def consume(inventory_settings: Settings) -> Iterator[Callable[[], object]]:
    """Start an inventory-consumer in a thread."""
    run = partial(consumer.run, inventory_settings)
    with ExitStack() as running:
        yield lambda: running.enter_context(at_work(run))


def test_two_consumers_reserve_exactly_the_last_copies(
    channel: BlockingChannel,
    inventory: FlaskClient,
    movies_db: Database,
    consume: Callable[[], object],
) -> None:
    create(inventory, stock=30), create(inventory, stock=31)
    consume()
    consume()
    # one half asks for them in the other order, and each comes twice
    wishes = ([(1, 1), (2, 1)], [(2, 1), (1, 1)])
    made = [order(CREATED, uuid4(), wishes[number % 2]) for number in range(200)]
    for message in [*made, *made]:
        publish(channel, message)
    wait_until(
        lambda: waiting(channel, QUEUE) == 0 and len(states(movies_db)) == 200,
        SECONDS,
        "200 orders to be dealt with",
    )
    assert Counter(states(movies_db).values()) == {"reserved": 30, "rejected": 170}
    assert stocks(movies_db) == {1: 0, 2: 1}
    assert Counter(told_types(movies_db)) == {"stock.reserved": 30, "stock.rejected": 170}


def test_changes_of_stock_by_hand_and_by_orders_at_once_are_all_counted(
    channel: BlockingChannel,
    inventory: FlaskClient,
    movies_db: Database,
    consume: Callable[[], object],
) -> None:
    create(inventory, stock=1000)
    consume()
    uids = [uuid4() for _ in range(100)]
    for uid in uids:
        publish(channel, order(CREATED, uid, [(1, 2)]))
    app = inventory.application
    with ThreadPoolExecutor(3) as pool:
        statuses = pool.map(lambda _n: adjust(app.test_client(), 1, 3).status_code, range(100))
        assert set(statuses) == {200}
    wait_until(lambda: len(states(movies_db)) == 100, SECONDS, "100 orders to be dealt with")
    assert stocks(movies_db) == {1: 1000 + 300 - 200}


def test_poison_goes_to_the_dead_letters_and_stops_no_order(
    channel: BlockingChannel,
    inventory: FlaskClient,
    movies_db: Database,
    consume: Callable[[], object],
) -> None:
    create(inventory, stock=5)
    channel.basic_publish(EXCHANGE, CREATED, b"not json")
    channel.basic_publish(EXCHANGE, CREATED, b'{"type": "order.created", "data": {}}')
    uid = uuid4()
    publish(channel, order(CREATED, uid, [(1, 5)]))
    consume()
    wait_until(lambda: waiting(channel, DEAD) == 2, SECONDS, "two dead letters")
    wait_until(lambda: uid in states(movies_db), SECONDS, "the order to be dealt with")
    assert stocks(movies_db) == {1: 0}


@pytest.fixture
def process(inventory_settings: Settings, tmp_path: Path) -> Iterator[Process]:
    """inventory-consumer as a process, not started yet."""
    port = inventory_settings.consumer_port.port
    variables = environment("inventory", inventory_settings, tmp_path, INVENTORY_CONSUMER_PORT=port)
    process = Process("inventory", "consume", variables, tmp_path, port)
    yield process
    process.end()


def test_a_consumer_that_is_killed_again_and_again_reserves_each_order_once(
    channel: BlockingChannel, inventory: FlaskClient, movies_db: Database, process: Process
) -> None:
    create(inventory, stock=700), create(inventory, stock=700)
    uids = [uuid4() for _ in range(300)]
    for number, uid in enumerate(uids, 1):
        publish(channel, order(CREATED, uid, [(1, 1), (2, 2)]))
        if number % 3 == 0:
            publish(channel, order(CANCELLED, uid, [(1, 1), (2, 2)]))
    for reached in (1, 150):
        process.start()
        wait_until(
            lambda: len(states(movies_db)) >= reached,  # noqa: B023 - called in this very turn
            SECONDS,
            f"{reached} orders",
        )
        process.end(signal.SIGKILL)
    process.start()
    wait_until(lambda: messages_applied(movies_db) == 400, SECONDS, "all to be applied")
    assert set(states(movies_db)) == set(uids)
    assert Counter(stocks(movies_db)) + Counter(reserved(movies_db)) == {1: 700, 2: 700}
    assert set(Counter((s["type"], s["data"]["uid"]) for s in told(movies_db)).values()) == {1}


def test_a_log_line_has_the_outcome_of_an_order(
    channel: BlockingChannel, inventory: FlaskClient, movies_db: Database, process: Process
) -> None:
    create(inventory, stock=1)
    first, second = uuid4(), uuid4()
    publish(channel, order(CREATED, first, [(1, 1)]))
    publish(channel, order(CREATED, second, [(1, 1)]))
    publish(channel, order(CANCELLED, first, [(1, 1)]))
    process.start()
    wait_until(lambda: len(told(movies_db)) == 3, SECONDS, "three events")
    process.end()
    said = [(line["message"], line["order_id"]) for line in process.logged() if "order_id" in line]
    names = [f"CMD-{str(uid)[:8]}" for uid in (first, second)]
    assert said == [
        ("stock reserved", names[0]),
        ("stock rejected", names[1]),
        ("stock released", names[0]),
    ]
    [rejected] = [line for line in process.logged() if line["message"] == "stock rejected"]
    assert rejected["reason"] == "not enough in stock: 1 of DVD asked, 0 available"


def test_a_database_that_hangs_holds_no_batch_for_ever_and_no_stock_goes_twice(
    inventory: FlaskClient,
    inventory_settings: Settings,
    channel: BlockingChannel,
    movies_db: Database,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(database, "ANSWER_SECONDS", 1.0)
    product = create(inventory, stock=100)["id"]
    messages = [order(CREATED, uuid4(), [(product, 1)]) for _ in range(60)]
    with at_work(partial(consumer.run, inventory_settings)):
        publish(channel, messages[0])
        wait_until(lambda: messages_applied(movies_db) == 1, SECONDS, "the first order")
        with ThreadPoolExecutor(1) as pool:
            publishing = pool.submit(publish_all, channel, messages[1:])
            with frozen(postgres):
                publishing.result(SECONDS)
                waiting = partial(said, caplog, "waiting for the database")
                wait_until(waiting, SECONDS, "the batch in hand to be given up")
        wait_until(lambda: messages_applied(movies_db) == len(messages), SECONDS, "all orders")
    assert stocks(movies_db) == {product: 40}
    assert Counter(states(movies_db).values()) == {"reserved": 60}
    assert channel.queue_declare(DEAD, passive=True).method.message_count == 0


def publish_all(channel: BlockingChannel, messages: Sequence[Message]) -> None:
    """Publish events of orders."""
    for message in messages:
        publish(channel, message)


def said(caplog: pytest.LogCaptureFixture, message: str) -> bool:
    """Whether something was logged."""
    return any(record.getMessage() == message for record in caplog.records)
