"""A row that somebody has locked and left so, as in psql: one message waits, the others pass."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from billing.handlers.bill_recorder import BillHandler
from billing.handlers.order_cancelled import REACTIONS as VOIDING
from chassis.messaging.consumer import Consumer
from chassis.messaging.declarations import Queue
from chassis.messaging.delivery import Handler
from chassis.messaging.event_handler import EventHandler
from chassis.settings import BrokerSettings, DatabaseSettings
from chassis.storage.database import Database
from inventory.consumer import create_handler
from orders.consumer import handler as orders_handler
from orders.mail.worker import MailHandler
from tests.support.amqp import channel_with_empty
from tests.support.at_work import at_work
from tests.support.mailing import order_data
from tests.support.products_api import create
from tests.support.reservations import states, stocks
from tools.stack.waiting import wait_until

QUEUE, DEAD = "locked-rows", "locked-rows.dlq"
SECONDS = 60.0
OTHERS = 300
FIRST = UUID(int=1)


@pytest.fixture
def channel(broker_settings: BrokerSettings) -> Iterator[BlockingChannel]:
    """A channel beside the consumer's, with both queues empty."""
    with channel_with_empty(broker_settings, QUEUE, DEAD) as channel:
        yield channel


@pytest.fixture
def consumed(
    broker_settings: BrokerSettings, database_settings: Callable[[str], DatabaseSettings]
) -> Callable[[str, Callable[[Database], Handler[Any]]], Any]:
    """Consume the queue with a service's handler for a block."""

    @contextmanager
    def consumed(service: str, handler: Callable[[Database], Handler[Any]]) -> Iterator[None]:
        database = Database(database_settings(service), connections=1)
        settings = broker_settings.for_queue(QUEUE)
        topology = [Queue(QUEUE), Queue(DEAD)]

        def consume(stop: Event) -> None:
            Consumer(settings, "locked", topology, handler(database), stop).run()

        with at_work(consume):
            yield
        database.close()

    return consumed


@contextmanager
def locked(database: Database, statement: str) -> Iterator[None]:
    """Somebody has begun a transaction by this statement, and does nothing more."""
    with database.transaction() as connection:
        connection.execute(text(statement))
        yield
        connection.rollback()


def publish(channel: BlockingChannel, body: Mapping[str, Any], message_id: str) -> None:
    """Publish a message."""
    data = json.dumps(body, default=str).encode()
    channel.basic_publish("", QUEUE, data, BasicProperties(message_id=message_id))


def tell(channel: BlockingChannel, type: str, message_id: str, data: Mapping[str, Any]) -> None:
    """Publish an event."""
    publish(channel, {"id": message_id, "type": type, "data": data}, message_id)


def count(database: Database, query: str) -> int:
    """Count rows."""
    with database.autocommit() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {query}")).scalar_one())


def wait_for(database: Database, query: str, number: int) -> None:
    """Wait until there are so many rows."""
    wait_until(lambda: count(database, query) == number, SECONDS, f"{number} of {query}")


def wait_until_empty(channel: BlockingChannel) -> None:
    """Wait until nothing is left to do, and check that nothing was put aside."""
    for name, what in ((QUEUE, "an empty queue"), (DEAD, "no dead letter")):
        wait_until(partial(_is_empty, channel, name), SECONDS, what)


def _is_empty(channel: BlockingChannel, queue: str) -> bool:
    return bool(channel.queue_declare(queue, passive=True).method.message_count == 0)


def bill(message_id: str) -> dict[str, Any]:
    """A bill."""
    return {"user_id": message_id, "number_of_items": 1, "total_amount": 1}


def test_bills_pass_one_whose_row_is_locked(
    channel: BlockingChannel, billing_db: Database, consumed: Callable[..., Any]
) -> None:
    same = (
        "INSERT INTO orders (message_id, user_id, number_of_items, total_amount) "
        "VALUES ('locked', 'psql', 1, 1)"
    )
    with consumed("billing", BillHandler):
        with locked(billing_db, same):
            publish(channel, bill("locked"), "locked")
            for number in range(OTHERS):
                publish(channel, bill("other"), f"m{number}")
            wait_for(billing_db, "orders", OTHERS)
        wait_for(billing_db, "orders WHERE user_id = 'locked'", 1)
        wait_until_empty(channel)


def test_cancellations_pass_one_whose_bill_is_locked(
    channel: BlockingChannel, billing_db: Database, consumed: Callable[..., Any]
) -> None:
    with billing_db.transaction() as connection:
        for number in range(20):
            connection.execute(
                text(
                    "INSERT INTO orders (message_id, user_id, number_of_items, total_amount) "
                    "VALUES (:uid, 'u', 1, 1)"
                ),
                {"uid": str(UUID(int=number))},
            )
    row = f"SELECT * FROM orders WHERE message_id = '{FIRST}' FOR UPDATE"
    with consumed("billing", lambda database: EventHandler(database, "test", VOIDING)):
        with locked(billing_db, row):
            for number in range(20):
                tell(channel, "order.cancelled", f"m{number}", {"uid": UUID(int=number)})
            wait_for(billing_db, "orders WHERE voided_at IS NOT NULL", 19)
        wait_for(billing_db, "orders WHERE voided_at IS NOT NULL", 20)
        wait_until_empty(channel)


def test_orders_pass_those_for_a_product_that_is_locked_and_each_order_keeps_its_order(
    channel: BlockingChannel,
    inventory: FlaskClient,
    movies_db: Database,
    consumed: Callable[..., Any],
) -> None:
    create(inventory, stock=1000), create(inventory, stock=1000)
    with consumed("inventory", create_handler):
        with locked(movies_db, "SELECT * FROM products WHERE id = 1 FOR UPDATE"):
            for number in range(60):
                line = {"product_id": 1 + number % 2, "quantity": 1}
                data = {"uid": UUID(int=number), "order_id": str(number), "lines": [line]}
                tell(channel, "order.created", f"created {number}", data)
                tell(channel, "order.cancelled", f"cancelled {number}", data)
            wait_for(movies_db, "reservations WHERE state = 'released'", 30)
            assert len(states(movies_db)) == 30
            assert stocks(movies_db) == {1: 1000, 2: 1000}
        wait_until(lambda: len(states(movies_db)) == 60, SECONDS, "all orders")
        wait_until_empty(channel)
    # a cancellation that had come first would have left it `cancelled`, and nothing to release
    assert set(states(movies_db).values()) == {"released"}
    assert stocks(movies_db) == {1: 1000, 2: 1000}


def test_customers_pass_one_who_is_locked(
    channel: BlockingChannel, orders_db: Database, consumed: Callable[..., Any]
) -> None:
    with orders_db.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO customers (id, name, email, version, noted_at) "
                "VALUES (1, 'n', 'old@kawa.fr', 1, now())"
            )
        )
    with consumed("orders", orders_handler):
        with locked(orders_db, "SELECT * FROM customers WHERE id = 1 FOR UPDATE"):
            for version in (2, 3):
                data = {"id": 1, "name": "n", "email": f"v{version}@kawa.fr", "version": version}
                tell(channel, "customer.updated", f"version {version}", data)
            for number in range(2, OTHERS + 2):
                data = {"id": number, "name": "n", "email": "e@kawa.fr", "version": 1}
                tell(channel, "customer.created", f"m{number}", data)
            wait_for(orders_db, "customers", OTHERS + 1)
        wait_for(orders_db, "customers WHERE email = 'v3@kawa.fr'", 1)
        wait_until_empty(channel)
    assert count(orders_db, "inbox") == OTHERS + 2


def test_mails_pass_those_of_an_order_that_is_locked_and_its_confirmation_stays_first(
    channel: BlockingChannel, orders_db: Database, consumed: Callable[..., Any]
) -> None:
    same = "INSERT INTO inbox (consumer, message_id) VALUES ('mail-worker', 'first')"
    with consumed("orders", MailHandler):
        with locked(orders_db, same):
            tell(channel, "order.created", "first", order_data(uid=FIRST))
            tell(channel, "order.cancelled", "second", order_data(uid=FIRST))
            for number in range(2, OTHERS + 2):
                data = order_data(uid=UUID(int=number))
                tell(channel, "order.created", f"m{number}", data)
            wait_for(orders_db, "mails", OTHERS)
            assert count(orders_db, f"mails WHERE order_uid = '{FIRST}'") == 0
        wait_for(orders_db, f"mails WHERE order_uid = '{FIRST}'", 2)
        wait_until_empty(channel)
    assert count(orders_db, f"mails WHERE order_uid = '{FIRST}' AND in_turn") == 1


def test_a_stop_while_a_row_is_locked_loses_nothing(
    channel: BlockingChannel, billing_db: Database, consumed: Callable[..., Any]
) -> None:
    same = (
        "INSERT INTO orders (message_id, user_id, number_of_items, total_amount) "
        "VALUES ('locked', 'psql', 1, 1)"
    )
    with locked(billing_db, same):
        with consumed("billing", BillHandler):
            publish(channel, bill("locked"), "locked")
            publish(channel, bill("other"), "other")
            wait_for(billing_db, "orders", 1)
        wait_until(lambda: not _is_empty(channel, QUEUE), SECONDS, "the bill to be back")
    with consumed("billing", BillHandler):
        wait_for(billing_db, "orders", 2)
        wait_until_empty(channel)
