"""A batch of events has the result of the same events one by one."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties
from pika.channel import Channel
from sqlalchemy import text
from sqlalchemy.engine import Engine

from chassis.messaging.delivery import Delivery
from chassis.messaging.event_handler import EventHandler, ReceivedEvent
from chassis.storage.database import Database
from orders import consumer
from tests.support.examples import examples
from tests.support.order_events import body_of
from tests.support.orders_api import create_with_items
from tests.support.statements import statements_of

TYPES = (
    *("stock.reserved", "stock.rejected", "stock.released", "stock.sold"),
    *("bill.recorded", "bill.voided"),
)
ORDERS = 4
MANY = 50


def read(handler: EventHandler, type: str, uid: UUID) -> ReceivedEvent:
    """An event as the consumer reads it."""
    channel = Channel.__new__(Channel)
    properties = BasicProperties(headers={"X-Request-ID": f"request-{type}"})
    return handler.parse(Delivery(channel, 1, body_of(type, uid, str(uuid4())), properties))


def story(database: Database, uid: UUID) -> list[object]:
    """What is known of an order afterwards, without its ids and times."""
    with database.autocommit() as connection:
        find: Callable[[str], Any] = lambda query: connection.execute(  # noqa: E731
            text(query), {"uid": uid, "key": f"order/{uid}"}
        ).all()
        row = find(
            "SELECT status, reason, stock_freed_at IS NULL, stock_sold_at IS NULL, "
            "bill_voided_at IS NULL, resends, sweep_at IS NULL FROM orders WHERE uid = :uid"
        )
        steps = find(
            "SELECT from_status, to_status, cause FROM order_history JOIN orders "
            "ON orders.id = order_pk WHERE uid = :uid ORDER BY order_history.id"
        )
        sent = find(
            "SELECT routing_key, body, headers, mandatory, urgent FROM outbox "
            "WHERE aggregate = :key ORDER BY id"
        )
    return [row, steps, [message(uid, *one) for one in sent]]


def message(uid: UUID, key: str, body: bytes, headers: dict[str, str], *flags: bool) -> object:
    """A message without what differs between two orders."""
    told = json.loads(bytes(body))
    told = {name: told.get(name) for name in ("type", "source", "user_id", "total_amount")} | {
        name: told.get("data", {}).get(name) for name in ("status", "reason", "lines", "email")
    }
    return key, told, headers.get("X-Request-ID"), flags


@examples(25)
@given(st.lists(st.tuples(st.integers(0, ORDERS - 1), st.sampled_from(TYPES)), max_size=16))
def test_a_batch_has_the_result_of_its_events_one_by_one(
    orders_db: Database, steps: list[tuple[int, str]]
) -> None:
    handler = consumer.handler(orders_db)
    together = [create_with_items(orders_db)["uid"] for _ in range(ORDERS)]
    alone = [create_with_items(orders_db)["uid"] for _ in range(ORDERS)]
    handler.apply([read(handler, type, together[number]) for number, type in steps])
    for number, type in steps:
        handler.apply([read(handler, type, alone[number])])
    assert [story(orders_db, uid) for uid in together] == [story(orders_db, uid) for uid in alone]


def test_many_orders_take_no_more_statements_than_one(orders_db: Database) -> None:
    handler = consumer.handler(orders_db)
    few = [read(handler, "stock.reserved", create_with_items(orders_db)["uid"])]
    many = [
        read(handler, "stock.reserved", create_with_items(orders_db)["uid"]) for _ in range(MANY)
    ]
    with statements_of(Engine) as of_one:
        handler.apply(few)
    with statements_of(Engine) as of_many:
        handler.apply(many)
    assert len(of_many) == len(of_one)
