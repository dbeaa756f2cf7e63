"""The saga: reactions on a real database, in any order, repeated, and at once."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties
from pika.channel import Channel
from sqlalchemy import text

from chassis.errors import ConflictError
from chassis.json import encode
from chassis.messaging.delivery import Delivery, RejectedError
from chassis.messaging.event_handler import BatchReaction, EventHandler, ReceivedEvent
from chassis.storage import inbox
from chassis.storage.database import Database
from orders import consumer
from orders.orders import move
from orders.queries import OrderView
from orders.transitions import Cause
from tests.support.answers import content
from tests.support.examples import examples
from tests.support.order_events import body_of
from tests.support.orders_api import ORDERS, create, create_with_items

API = Cause("orders-api", "api", "request-1")
TELLS = {"processing": "order.updated", "completed": "order.completed"} | {
    "cancelled": "order.cancelled"
}
SAGA = ("stock.reserved", "stock.rejected", "bill.recorded")
NEXT = {
    ("pending", "stock.reserved"): "processing",
    ("pending", "stock.rejected"): "cancelled",
    ("processing", "bill.recorded"): "completed",
    ("pending", "cancel"): "cancelled",
    ("processing", "cancel"): "cancelled",
}
ANY = examples(15)


class World:
    """Orders, and what tells of events to them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.handler: EventHandler = consumer.handler(database)

    def event(self, type: str, uid: object, event_id: str | None = None) -> ReceivedEvent:
        """An event as the consumer has read it."""
        return self.read(body_of(type, uid, event_id))

    def read(self, body: bytes) -> ReceivedEvent:
        """A message as the consumer reads it."""
        channel = Channel.__new__(Channel)
        return self.handler.parse(Delivery(channel, 1, body, BasicProperties()))

    def tell(self, type: str, uid: object, event_id: str | None = None) -> None:
        """Apply one event."""
        self.handler.apply([self.event(type, uid, event_id)])

    def order(self, uid: object) -> Any:
        """An order's row."""
        return self.rows(f"SELECT * FROM orders WHERE uid = '{uid}'")[0]

    def status(self, uid: object) -> str:
        """An order's state."""
        return str(self.order(uid).status)

    def rows(self, statement: str) -> list[Any]:
        """What a statement finds."""
        with self.database.autocommit() as connection:
            return list(connection.execute(text(statement)))

    def bills(self) -> list[str]:
        """The ids of the bills that were asked for."""
        query = "SELECT message_id FROM outbox WHERE routing_key = 'order_bills' ORDER BY id"
        return [row.message_id for row in self.rows(query)]

    def told(self, uid: object) -> list[dict[str, Any]]:
        """The events about an order."""
        query = (
            f"SELECT body FROM outbox WHERE aggregate = 'order/{uid}' AND exchange = 'order_events'"
            " ORDER BY id"
        )
        return [json.loads(bytes(row.body)) for row in self.rows(query)]

    def history(self, uid: object) -> list[Any]:
        """An order's changes of state."""
        chosen = f"SELECT id FROM orders WHERE uid = '{uid}'"
        return self.rows(f"SELECT * FROM order_history WHERE order_pk = ({chosen}) ORDER BY id")

    def is_consistent(self, uid: object) -> None:
        """Check that an order, its history, its events and its bill tell the same story."""
        changes = self.history(uid)
        states = [change.to_status for change in changes]
        assert [change.from_status for change in changes] == [None, *states[:-1]]
        assert states[-1] == self.status(uid)
        assert [change.at for change in changes] == sorted(change.at for change in changes)
        events = self.told(uid)
        assert [event["type"] for event in events] == [
            *("order.created" if state == "pending" else TELLS[state] for state in states)
        ]
        assert [event["data"]["status"] for event in events] == states
        assert self.bills().count(str(uid)) == ("processing" in states)


@pytest.fixture
def world(orders_db: Database) -> World:
    """Orders on a real database, and nobody else."""
    return World(orders_db)


def test_reserved_stock_moves_an_order_to_processing_and_asks_for_its_bill(
    world: World,
) -> None:
    order = create_with_items(world.database, order_id="A", customer_id="7")
    world.tell("stock.reserved", order["uid"], "event-1")
    assert world.status(order["uid"]) == "processing"
    [bill] = world.rows("SELECT * FROM outbox WHERE routing_key = 'order_bills'")
    assert (bill.exchange, bill.mandatory, bill.aggregate) == ("", True, f"order/{order['uid']}")
    assert (bill.message_id, bill.content_type) == (str(order["uid"]), "application/json")
    expected = b'{"user_id":"7","number_of_items":3,"total_amount":39.98,"order_id":"A"}'
    assert bytes(bill.body) == expected
    created, updated = world.told(order["uid"])
    assert (updated["type"], updated["source"]) == ("order.updated", "orders-consumer")
    assert updated["data"]["lines"] == created["data"]["lines"]
    world.is_consistent(order["uid"])


def test_rejected_stock_cancels_an_order_with_the_reason(world: World) -> None:
    uid = create_with_items(world.database)["uid"]
    world.tell("stock.rejected", uid)
    reason = "short of The Matrix, DVD: 2 asked, 1 available"
    assert (world.status(uid), world.order(uid).reason) == ("cancelled", reason)
    assert world.told(uid)[-1]["type"] == "order.cancelled"
    assert world.told(uid)[-1]["data"]["reason"] == reason
    world.is_consistent(uid)


def test_a_void_bill_cancels_an_order_that_was_restored(world: World) -> None:
    """It was cancelled after the backup, so its bill is void already."""
    uid = create_with_items(world.database)["uid"]
    world.tell("stock.reserved", uid)
    recorded = json.loads(body_of("bill.recorded", uid))
    recorded["data"]["voided_at"] = "2026-01-01T00:00:00Z"
    world.handler.apply([world.read(json.dumps(recorded).encode())])
    assert world.status(uid) == "cancelled"
    assert world.order(uid).bill_voided_at is not None
    world.is_consistent(uid)


def test_a_recorded_bill_completes_its_order(world: World) -> None:
    uid = create_with_items(world.database, "processing")["uid"]
    world.tell("bill.recorded", uid)
    assert world.status(uid) == "completed"
    assert world.told(uid)[-1]["type"] == "order.completed"


def test_the_history_names_the_events_that_moved_an_order(
    world: World, orders: FlaskClient
) -> None:
    order = create_with_items(world.database)
    world.tell("stock.reserved", order["uid"], "event-1")
    world.tell("bill.recorded", order["uid"], "event-2")
    changes = content(orders.get(f"{ORDERS}/{order['id']}/history"))
    assert [(c["to_status"], c["cause"], c["message_id"]) for c in changes[1:]] == [
        ("processing", "stock.reserved", "event-1"),
        ("completed", "bill.recorded", "event-2"),
    ]


@pytest.mark.parametrize("type", SAGA)
def test_an_event_that_comes_again_changes_nothing(world: World, type: str) -> None:
    before = "processing" if type == "bill.recorded" else "pending"
    uid = create_with_items(world.database, before)["uid"]
    event = world.event(type, uid)
    world.handler.apply([event, event])
    after = (world.order(uid), world.told(uid), world.history(uid), world.bills())
    world.handler.apply([event])
    world.tell(type, uid)
    assert (world.order(uid), world.told(uid), world.history(uid), world.bills()) == after
    assert len(world.history(uid)) == 2


@pytest.mark.parametrize("type", SAGA)
@pytest.mark.parametrize("before", ["pending", "processing", "completed", "cancelled"])
def test_an_event_out_of_its_order_changes_nothing(world: World, before: str, type: str) -> None:
    uid = create_with_items(world.database, before)["uid"]
    changed = world.order(uid).updated_at
    world.tell(type, uid)
    after = NEXT.get((before, type), before)
    assert world.status(uid) == after
    if after == before:
        assert world.order(uid).updated_at == changed
        assert len(world.told(uid)) == len(world.history(uid)) == 1


@pytest.mark.parametrize("type", SAGA)
@pytest.mark.parametrize("before", ["pending", "processing"])
def test_a_bare_order_is_no_part_of_the_saga(
    world: World, orders: FlaskClient, before: str, type: str
) -> None:
    create(orders, status=before)
    [row] = world.rows("SELECT * FROM orders")
    world.tell(type, row.uid)
    assert world.rows("SELECT * FROM orders") == [row]
    assert world.bills() == []


@pytest.mark.parametrize("type", SAGA)
def test_an_event_about_an_order_that_does_not_exist_changes_nothing(
    world: World, orders: FlaskClient, type: str
) -> None:
    order = create_with_items(world.database, "cancelled")
    assert orders.delete(f"{ORDERS}/{order['id']}").status_code == 200
    for uid in (order["uid"], uuid4()):
        world.tell(type, uid)
    assert world.bills() == []


@pytest.mark.parametrize("bill_id", ["usr-1", "", "x" * 255, "é", "00000000", "urn:uuid:{uid}"])
def test_a_bill_without_an_order_is_ignored(world: World, bill_id: str) -> None:
    uid = create_with_items(world.database, "processing")["uid"]
    world.tell("bill.recorded", bill_id.format(uid=uid))
    assert world.status(uid) == "processing"


@pytest.mark.parametrize("before", ["pending", "processing"])
def test_stock_that_is_reserved_after_the_cancellation_brings_no_bill(
    world: World, orders: FlaskClient, before: str
) -> None:
    order = create_with_items(world.database, before)
    assert orders.put(f"{ORDERS}/{order['id']}/status", json="cancelled").status_code == 200
    for type in SAGA:
        world.tell(type, order["uid"])
    assert world.status(order["uid"]) == "cancelled"
    assert world.bills() == []
    assert [event["type"] for event in world.told(order["uid"])] == [
        *("order.created", "order.cancelled")
    ]


def test_events_for_other_consumers_are_ignored(world: World) -> None:
    uid = create_with_items(world.database)["uid"]
    for type in ("stock.released", "product.updated", "stock.counted"):
        world.tell(type, uid)
    assert world.status(uid) == "pending"


@pytest.mark.parametrize(
    ("type", "data"),
    [
        ("stock.reserved", {}),
        ("stock.reserved", {"uid": "5"}),
        ("stock.reserved", {"uid": None}),
        ("stock.rejected", {"uid": str(uuid4())}),
        ("stock.rejected", {"uid": str(uuid4()), "reason": 5}),
        ("bill.recorded", {"id": None}),
        ("bill.recorded", {"id": 5}),
    ],
)
def test_an_incomplete_event_is_refused(world: World, type: str, data: dict[str, Any]) -> None:
    with pytest.raises(RejectedError):
        world.read(encode({"id": "event-1", "type": type, "data": data}))


def test_the_address_that_a_customer_event_brought_is_in_the_next_events(world: World) -> None:
    uid = create_with_items(world.database, customer_id="7")["uid"]
    data = {"id": 7, "name": "Ben", "email": "ben@kawa.fr", "company": None, "phone": None}
    told = {"id": "event-1", "type": "customer.created", "time": "2026-01-01T00:00:00Z"}
    world.handler.apply([world.read(encode({**told, "data": data}))])
    world.tell("stock.reserved", uid)
    assert [event["data"]["email"] for event in world.told(uid)] == [None, "ben@kawa.fr"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from([*SAGA, "cancel", "again"]),
        st.integers(0, 2),
        st.booleans(),
    ),
    max_size=14,
)


@ANY
@given(steps=STEPS)
def test_whatever_comes_in_whatever_order_leaves_orders_consistent(
    world: World, steps: Sequence[tuple[str, int, bool]]
) -> None:
    orders = [create_with_items(world.database) for _ in range(3)]
    expected = ["pending"] * 3
    batch: list[ReceivedEvent] = []
    seen: list[ReceivedEvent] = []
    for what, which, ends_batch in steps:
        if what == "cancel":
            world.handler.apply(batch)
            batch = []
            _cancel(world.database, orders[which])
            expected[which] = NEXT.get((expected[which], what), expected[which])
        elif what == "again":
            batch += seen[which : which + 1]
        else:
            batch.append(world.event(what, orders[which]["uid"]))
            seen.append(batch[-1])
            expected[which] = NEXT.get((expected[which], what), expected[which])
        if ends_batch:
            world.handler.apply(batch)
            batch = []
    world.handler.apply(batch)
    assert [world.status(order["uid"]) for order in orders] == expected
    for order in orders:
        world.is_consistent(order["uid"])


def _cancel(database: Database, order: OrderView) -> None:
    try:
        with database.transaction() as connection:
            move(connection, order["id"], "cancelled", API)
    except ConflictError as error:
        assert "completed" in str(error)


@ANY
@given(seed=st.integers(0, 2**32), number=st.integers(1, 4))
def test_each_order_reaches_its_end_however_messages_are_delayed_and_repeated(
    world: World, seed: int, number: int
) -> None:
    """Inventory and billing are played: they answer each message at least once, some time."""
    chance = random.Random(seed)
    orders = [create_with_items(world.database) for _ in range(number)]
    uids = {str(order["uid"]) for order in orders}
    on_the_way: list[ReceivedEvent] = []
    answered = 0
    while True:
        for row in world.rows(f"SELECT * FROM outbox WHERE id > {answered} ORDER BY id"):
            answered = row.id
            on_the_way += _answers(world, row, uids, chance)
        if not on_the_way:
            break
        if chance.random() < 0.1:
            _cancel(world.database, chance.choice(orders))
        chance.shuffle(on_the_way)
        size = chance.randint(1, len(on_the_way))
        batch, on_the_way = on_the_way[:size], on_the_way[size:]
        world.handler.apply(batch)
    for uid in uids:
        assert world.status(uid) in ("completed", "cancelled")
        world.is_consistent(uid)


def _answers(world: World, row: Any, uids: set[str], chance: random.Random) -> list[ReceivedEvent]:
    """What the others answer to a message, each some times."""
    if row.routing_key == "order_bills" and row.message_id in uids:
        event = world.event("bill.recorded", row.message_id)
    elif row.routing_key == "order.created":
        uid = json.loads(bytes(row.body))["data"]["uid"]
        if uid not in uids:
            return []
        event = world.event(chance.choice(SAGA[:2]), uid)
    else:
        return []
    return [event] * chance.randint(1, 3)


def at_once(*acts: Callable[[], object]) -> None:
    """Do things at the same time; what one raises is raised."""
    start = threading.Barrier(len(acts))

    def do(act: Callable[[], object]) -> None:
        start.wait(10)
        act()

    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(do, acts))


def test_a_cancellation_that_races_the_reservation_leaves_one_consistent_outcome(
    world: World,
) -> None:
    for _ in range(30):
        order = create_with_items(world.database)
        at_once(
            lambda order=order: _cancel(world.database, order),  # type: ignore[misc]
            lambda order=order: world.tell("stock.reserved", order["uid"]),  # type: ignore[misc]
        )
        assert world.status(order["uid"]) == "cancelled"
        world.is_consistent(order["uid"])


def test_a_cancellation_that_races_the_bill_leaves_one_consistent_outcome(world: World) -> None:
    for _ in range(30):
        order = create_with_items(world.database)
        world.tell("stock.reserved", order["uid"])
        at_once(
            lambda order=order: _cancel(world.database, order),  # type: ignore[misc]
            lambda order=order: world.tell("bill.recorded", order["uid"]),  # type: ignore[misc]
        )
        assert world.status(order["uid"]) in ("completed", "cancelled")
        world.is_consistent(order["uid"])


def test_two_batches_about_the_same_orders_never_wait_for_each_other_in_a_circle(
    world: World,
) -> None:
    """What would be a deadlock, were orders not locked in one order, is raised by `apply`."""
    for _ in range(10):
        uids = [create_with_items(world.database)["uid"] for _ in range(20)]
        batches = [
            [world.event("stock.reserved", uid) for uid in uids],
            [world.event("stock.rejected", uid) for uid in reversed(uids)],
            [world.event("stock.reserved", uid) for uid in random.sample(uids, 20)],
        ]
        at_once(*(lambda batch=batch: world.handler.apply(batch) for batch in batches))
        for uid in uids:
            assert world.status(uid) in ("processing", "cancelled")
            world.is_consistent(uid)


def test_a_change_of_state_and_its_messages_are_committed_together(world: World) -> None:
    """A transaction that ends before its commit leaves neither, and the event may come again."""
    uid: UUID = create_with_items(world.database)["uid"]
    event = world.event("stock.reserved", uid)
    with world.database.transaction() as connection:
        inbox.mark_applied(connection, consumer.PROCESS, [event.id])
        assert isinstance(event.reaction, BatchReaction)
        event.reaction.act(connection, [event])
        connection.rollback()
    assert (world.status(uid), world.bills(), len(world.told(uid))) == ("pending", [], 1)
    world.handler.apply([event])
    assert (world.status(uid), world.bills()) == ("processing", [str(uid)])
    world.is_consistent(uid)


def test_a_total_is_billed_to_the_cent(world: World) -> None:
    amount = Decimal("9999999999.99")
    order = create_with_items(world.database, total_amount=amount)
    world.tell("stock.reserved", order["uid"])
    [bill] = world.rows("SELECT * FROM outbox WHERE routing_key = 'order_bills'")
    assert b'"total_amount":9999999999.99,' in bytes(bill.body)
    assert Counter(world.bills()) == {str(order["uid"]): 1}
