"""orders-consumer and orders-relay as processes, on a real broker; the test plays the others."""

import json
import random
import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pika
import pytest
import requests
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from chassis.json import encode
from chassis.messaging import declarations
from chassis.messaging.dead_letters import REASON
from chassis.storage.database import Database
from orders import consumer as orders_consumer
from orders import relay as orders_relay
from orders.app import create_app
from orders.settings import Settings
from tests.support.amqp import connect
from tests.support.answers import content
from tests.support.at_work import Worker, startable
from tests.support.order_events import body_of
from tests.support.orders_api import ORDERS, create_with_items
from tests.support.process import Process, environment
from tests.support.settings import port
from tests.support.shop import Shop
from tools.stack.waiting import wait_until

SECONDS = 120.0  # a process starts slowly on a busy machine
QUEUE, DEAD = "orders_inbox", "orders_inbox.dlq"
REPLICA = "customer_replica_inbox"
BILLS, LISTENER = "order_bills", "debug-order-events"
EXCHANGES = {
    "inventory_events": "topic",
    "billing_events": "topic",
    "order_events": "topic",
    "customer_events": "fanout",
}


@contextmanager
def channel_of(settings: Settings) -> Iterator[BlockingChannel]:
    """Lend a channel beside the processes'."""
    with connect(settings.broker) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


@pytest.fixture
def channel(orders_settings: Settings) -> Iterator[BlockingChannel]:
    """A channel to a broker on which all is bound as on a machine, and the queues are empty."""
    with channel_of(orders_settings) as channel:
        for name, kind in EXCHANGES.items():
            channel.exchange_declare(name, kind, durable=True)
        for name in (QUEUE, DEAD, REPLICA, BILLS, f"{BILLS}.dlq", LISTENER):
            channel.queue_declare(name, durable=True, arguments=declarations.QUORUM)
            channel.queue_purge(name)
        channel.queue_bind(QUEUE, "inventory_events", "stock.*")
        channel.queue_bind(QUEUE, "billing_events", "bill.recorded")
        channel.queue_bind(REPLICA, "customer_events", "#")
        channel.queue_bind(LISTENER, "order_events", "order.*")
        yield channel
        channel.queue_delete(LISTENER)


Make = Callable[[str], Process]


@pytest.fixture
def process(orders_settings: Settings, tmp_path: Path) -> Iterator[Make]:
    """Make a process, not started yet."""
    ports = {
        "consume": orders_settings.consumer_port.port,
        "relay": orders_settings.relay_port.port,
    }
    variables = environment(
        "orders",
        orders_settings,
        tmp_path,
        ORDERS_CONSUMER_PORT=ports["consume"],
        ORDERS_RELAY_PORT=ports["relay"],
        INVENTORY_VM_IP="127.0.0.1",
        CUSTOMERS_VM_IP="127.0.0.1",
    )
    made: list[Process] = []

    def make(command: str) -> Process:
        made.append(Process("orders", command, variables, tmp_path, ports[command]))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def worker(orders_settings: Settings) -> Iterator[Callable[[str], Worker]]:
    """Make the work of a process, for a thread of the test, not started yet."""
    works = {"consume": orders_consumer.run, "relay": orders_relay.run}
    with ExitStack() as lent:

        def make(command: str) -> Worker:
            settings = replace(orders_settings, consumer_port=port(), relay_port=port())
            return lent.enter_context(startable(partial(works[command], settings)))

        yield make


def tell(channel: BlockingChannel, type: str, uid: object, event_id: str | None = None) -> None:
    """Publish an event as another service does."""
    is_bill = type == "bill.recorded"
    exchange, routing_key = ("", QUEUE) if is_bill else ("inventory_events", type)
    event_id = event_id or str(uuid4())
    properties = pika.BasicProperties(message_id=event_id, delivery_mode=2)
    channel.basic_publish(exchange, routing_key, body_of(type, uid, event_id), properties, True)


def taken(channel: BlockingChannel, queue: str) -> list[tuple[str, dict[str, Any]]]:
    """Take what is in a queue: message ids and bodies."""
    found: list[tuple[str, dict[str, Any]]] = []
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None or properties is None or body is None:
            return found
        found.append((str(properties.message_id), json.loads(body)))


def states(database: Database) -> Counter[str]:
    """How many orders are in which state."""
    with database.autocommit() as connection:
        rows = connection.execute(
            text("SELECT status, count(*) AS number FROM orders GROUP BY status")
        )
        return Counter({row.status: row.number for row in rows})


def bills(database: Database) -> list[str]:
    """The ids of the bills in the outbox."""
    query = "SELECT message_id FROM outbox WHERE routing_key = 'order_bills'"
    with database.autocommit() as connection:
        return list(connection.execute(text(query)).scalars())


def test_an_order_goes_from_its_post_to_completed(
    channel: BlockingChannel,
    orders_settings: Settings,
    orders_db: Database,
    worker: Callable[[str], Worker],
) -> None:
    consumer, relay = worker("consume"), worker("relay")
    consumer.start()
    relay.start()
    shop = Shop()
    with shop.opened():
        api = create_app(replace(orders_settings, inventory=shop.upstream)).test_client()
        body = {"order_id": "A", "customer_id": "7", "items": [{"product_id": 1, "quantity": 2}]}
        headers = {"X-Request-ID": "request-1"}
        assert api.post(ORDERS, json=body, headers=headers).status_code == 201
    events: list[dict[str, Any]] = []

    def have_come(*types: str) -> bool:
        events.extend(event for _id, event in taken(channel, LISTENER))
        return [event["type"] for event in events] == list(types)

    wait_until(lambda: have_come("order.created"), SECONDS, "order.created")
    uid = events[0]["data"]["uid"]
    tell(channel, "stock.reserved", uid)
    wait_until(lambda: states(orders_db)["processing"] == 1, SECONDS, "processing")
    asked: list[tuple[str, dict[str, Any]]] = []

    def is_billed() -> bool:
        asked.extend(taken(channel, BILLS))
        return bool(asked)

    wait_until(is_billed, SECONDS, "the bill")
    bill = {"user_id": "7", "number_of_items": 2, "total_amount": 19.98, "order_id": "A"}
    assert asked == [(uid, bill)]
    tell(channel, "bill.recorded", uid)
    wait_until(
        lambda: have_come("order.created", "order.updated", "order.completed"),
        SECONDS,
        "all events",
    )
    assert content(api.get(f"{ORDERS}/order/A"))["status"] == "completed"
    assert [event["source"] for event in events] == [
        *("orders-api", "orders-consumer", "orders-consumer")
    ]


def test_the_processes_are_ready_with_database_and_broker_and_end_when_told(
    channel: BlockingChannel, process: Make
) -> None:
    queues = {QUEUE, REPLICA}
    for command, expected in {"consume": queues, "relay": {"rabbitmq"}}.items():
        one = process(command)
        one.start()
        wait_until(one.is_ready, SECONDS, command)
        checks = requests.get(f"{one.url}/ready", timeout=5).json()["checks"]
        assert set(checks) == {"orders_db", *expected}
        assert one.end() == 0


def test_a_consumer_declares_what_it_needs(
    channel: BlockingChannel,
    orders_settings: Settings,
    orders_db: Database,
    worker: Callable[[str], Worker],
) -> None:
    for name in (QUEUE, DEAD):
        channel.queue_delete(name)
    worker("consume").start()

    def is_bound() -> bool:
        try:
            with channel_of(orders_settings) as another:
                another.queue_declare(DEAD, passive=True)
                tell(another, "stock.reserved", order["uid"])
                return True
        except (pika.exceptions.ChannelClosedByBroker, pika.exceptions.UnroutableError):
            return False

    order = create_with_items(orders_db)
    wait_until(is_bound, SECONDS, "the queue")
    wait_until(lambda: states(orders_db)["processing"] == 1, SECONDS, "processing")


def test_two_consumers_at_once_apply_each_event_once(
    channel: BlockingChannel, orders_db: Database, worker: Callable[[str], Worker]
) -> None:
    uids = [create_with_items(orders_db)["uid"] for _ in range(100)]
    for _ in range(2):
        worker("consume").start()
    sent = [(uid, str(uuid4())) for uid in uids] * 3
    random.shuffle(sent)
    for uid, event_id in sent:
        tell(channel, "stock.reserved", uid, event_id)
    wait_until(lambda: states(orders_db)["processing"] == 100, SECONDS, "100 orders")
    for uid in uids * 2:
        tell(channel, "bill.recorded", uid)
    wait_until(lambda: states(orders_db)["completed"] == 100, SECONDS, "100 orders")
    assert Counter(bills(orders_db)) == {str(uid): 1 for uid in uids}


def test_a_consumer_that_is_killed_in_the_middle_loses_and_repeats_nothing(
    channel: BlockingChannel, orders_db: Database, process: Make
) -> None:
    uids = [create_with_items(orders_db)["uid"] for _ in range(150)]
    consumer = process("consume")
    for portion in range(2):
        consumer.start()
        applied = states(orders_db)["processing"]
        for uid in uids[portion * 75 : portion * 75 + 75]:
            tell(channel, "stock.reserved", uid)
        wait_until(
            lambda before=applied: states(orders_db)["processing"] > before,  # type: ignore[misc]
            SECONDS,
            "the first of a portion",
            poll=0.001,
        )
        consumer.end(signal.SIGKILL)
    consumer.start()
    wait_until(lambda: states(orders_db)["processing"] == 150, SECONDS, "150 orders")
    assert Counter(bills(orders_db)) == {str(uid): 1 for uid in uids}
    with orders_db.autocommit() as connection:
        rows = connection.execute(text("SELECT order_pk, count(*) FROM order_history GROUP BY 1"))
        assert {count for _order, count in rows} == {2}


def test_unreadable_messages_become_dead_letters_and_stop_nothing(
    channel: BlockingChannel, orders_db: Database, worker: Callable[[str], Worker]
) -> None:
    order = create_with_items(orders_db)
    poisons = (
        b"no json",
        encode({"id": "x", "type": "stock.reserved", "data": {"uid": 5}}),
        # no index holds such an id
        encode({"id": secrets.token_hex(3000), "type": "something.else", "data": {}}),
    )
    for poison in poisons:
        channel.basic_publish("inventory_events", "stock.reserved", poison)
    tell(channel, "stock.reserved", order["uid"])
    worker("consume").start()
    wait_until(lambda: states(orders_db)["processing"] == 1, SECONDS, "processing")
    reasons: list[str] = []

    def are_there() -> bool:
        method, properties, _body = channel.basic_get(DEAD, auto_ack=True)
        if method is not None and properties is not None:
            reasons.append(str((properties.headers or {})[REASON]))
        return len(reasons) == len(poisons)

    wait_until(are_there, SECONDS, "the dead letters")
    assert "not JSON" in reasons[0]
    assert "uid" in reasons[1]
    assert "id: " in reasons[2]


def customer_event(channel: BlockingChannel, id: int, queue: str | None = None) -> None:
    """Announce a new customer, or send the event to one queue."""
    event_id = str(uuid4())
    data = {"id": id, "name": "Ada", "email": f"ada{id}@example.com", "company": None, "version": 1}
    told = {"specversion": "1.0", "id": event_id, "type": "customer.created", "source": "another"}
    body = encode({**told, "time": "2026-01-01T00:00:00Z", "data": data})
    properties = pika.BasicProperties(message_id=event_id, delivery_mode=2)
    exchange, routing_key = ("customer_events", "") if queue is None else ("", queue)
    channel.basic_publish(exchange, routing_key, body, properties, True)


def replicated(database: Database) -> set[int]:
    """The ids of the replicated customers."""
    with database.autocommit() as connection:
        return set(connection.execute(text("SELECT id FROM customers")).scalars())


def test_customers_that_wait_in_the_orders_queue_from_before_are_replicated_like_new_ones(
    channel: BlockingChannel, orders_db: Database, worker: Callable[[str], Worker]
) -> None:
    # as the version before has left it: one queue for both
    channel.queue_bind(QUEUE, "customer_events", "#")
    channel.queue_delete(REPLICA)
    for id in (1, 2, 3):
        customer_event(channel, id)
    assert channel.queue_declare(QUEUE, passive=True).method.message_count == 3
    consumer = worker("consume")
    consumer.start()
    wait_until(lambda: replicated(orders_db) == {1, 2, 3}, SECONDS, "the replica")
    # until the old binding is gone, events come into both queues, and are applied once
    customer_event(channel, 4)
    wait_until(lambda: replicated(orders_db) == {1, 2, 3, 4}, SECONDS, "the replica")
    consumer.end()
    customer_event(channel, 5)
    depths = [channel.queue_declare(q, passive=True).method.message_count for q in (QUEUE, REPLICA)]
    assert depths == [0, 1]


def test_no_order_waits_behind_customers(
    channel: BlockingChannel, orders_db: Database, worker: Callable[[str], Worker]
) -> None:
    uid = create_with_items(orders_db)["uid"]
    consumer = worker("consume")
    consumer.start()
    with orders_db.transaction() as connection:
        # no customer can be replicated, as if there were very many of them
        connection.execute(text("LOCK TABLE customers IN EXCLUSIVE MODE"))
        for id in range(1, 501):
            customer_event(channel, id)
        tell(channel, "stock.reserved", uid)
        wait_until(lambda: states(orders_db)["processing"] == 1, SECONDS, "processing")
        assert replicated(orders_db) == set()
    wait_until(lambda: len(replicated(orders_db)) == 500, SECONDS, "the replica")
