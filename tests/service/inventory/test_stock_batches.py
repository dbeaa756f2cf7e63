"""A batch of orders' events has the result of the same events one by one."""

from typing import Any, cast
from uuid import UUID, uuid4

import pika
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from pika.channel import Channel
from sqlalchemy import text
from sqlalchemy.engine import Engine

from chassis.messaging.delivery import Delivery
from chassis.messaging.event_handler import EventHandler, ReceivedEvent
from chassis.storage.database import Database
from inventory import consumer
from tests.support.examples import examples
from tests.support.products_api import MOST, create
from tests.support.reservations import CANCELLED, COMPLETED, CREATED, order, stocks, told
from tests.support.statements import statements_of

STOCK = (0, 3, 6, MOST - 1)
ORDERS = 4
STEPS = st.lists(
    st.tuples(
        st.integers(0, ORDERS - 1),
        st.sampled_from([CREATED, CREATED, CANCELLED, COMPLETED]),
        st.lists(st.tuples(st.integers(0, len(STOCK)), st.integers(1, 3)), min_size=1, max_size=3),
    ),
    max_size=12,
)


def read(handler: EventHandler, type: str, uid: UUID, lines: list[tuple[int, int]]) -> Any:
    """An event as the consumer reads it."""
    body = order(type, uid, lines).body
    return handler.parse(Delivery(cast(Channel, None), 1, body, pika.BasicProperties()))


def rows(database: Database, uid: UUID, first: int) -> list[object]:
    """What is known of an order; products are counted from `first`."""
    with database.autocommit() as connection:
        query = "SELECT state, short, cancelled FROM reservations WHERE uid = :uid"
        state = connection.execute(text(query), {"uid": uid}).one_or_none()
        query = "SELECT product_id, quantity FROM reservation_lines WHERE uid = :uid ORDER BY 1"
        lines = connection.execute(text(query), {"uid": uid}).all()
    return [
        state and (state.state, shifted(state.short, first), state.cancelled),
        [(id - first, quantity) for id, quantity in lines],
    ]


def shifted(data: Any, first: int) -> Any:
    """Data whose products are counted from `first`."""
    if isinstance(data, list):
        return [shifted(one, first) for one in data]
    if not isinstance(data, dict):
        return data
    return {
        name: value - first if name == "product_id" else shifted(value, first)
        for name, value in data.items()
    }


def said(database: Database, uids: list[UUID], first: int) -> list[object]:
    """The announcements about some orders, in their order."""
    mine = [one for one in told(database) if UUID(one["data"]["uid"]) in uids]
    return [
        (
            one["type"],
            uids.index(UUID(one["data"]["uid"])),
            shifted(one["data"].get("lines"), first),
            shifted(one["data"].get("short"), first),
        )
        for one in mine
    ]


@examples(20)
@given(STEPS)
def test_a_batch_has_the_result_of_its_events_one_by_one(
    inventory: FlaskClient,
    movies_db: Database,
    steps: list[tuple[int, str, list[tuple[int, int]]]],
) -> None:
    handler = consumer.create_handler(movies_db)
    outcomes = []
    for is_batch in (True, False):
        made = [create(inventory, f"product {n}", stock=stock) for n, stock in enumerate(STOCK)]
        first = made[0]["id"]
        uids = [uuid4() for _ in range(ORDERS)]
        events: list[ReceivedEvent] = [
            # the product after the last one does not exist
            read(handler, type, uids[number], [(missing(first, id), n) for id, n in lines])
            for number, type, lines in steps
        ]
        for batch in [events] if is_batch else [[event] for event in events]:
            handler.apply(batch)
        left = {id - first: stock for id, stock in stocks(movies_db).items() if id >= first}
        outcomes.append(
            [[rows(movies_db, uid, first) for uid in uids], said(movies_db, uids, first), left]
        )
    assert outcomes[0] == outcomes[1]


def missing(first: int, number: int) -> int:
    """The id of a product; of none for the number after the last one."""
    return first + (number if number < len(STOCK) else 1_000_000)


def test_many_orders_take_no_more_statements_than_one(
    inventory: FlaskClient, movies_db: Database
) -> None:
    id = create(inventory, "a product", stock=1000)["id"]
    handler = consumer.create_handler(movies_db)
    counts = []
    for many in (1, 50):
        events = [read(handler, CREATED, uuid4(), [(id, 1)]) for _ in range(many)]
        with statements_of(Engine) as sent:
            handler.apply(events)
        counts.append(len(sent))
    assert counts[0] == counts[1]
