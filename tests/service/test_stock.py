"""inventory-consumer: stock that orders reserve, all or nothing, and that is given back once."""

import json
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pika
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pika.adapters.blocking_connection import BlockingChannel
from pika.channel import Channel
from sqlalchemy import text

from chassis import broker, trace
from chassis.broker import Message
from chassis.database import Database
from chassis.delivery import Delivery, RejectedError
from chassis.event_handler import EventHandler
from chassis.events import event
from chassis.settings import DatabaseSettings
from inventory import consumer
from inventory.settings import Settings
from local.waiting import wait_until
from tests.service.amqp import connect
from tests.service.process import Process, environment
from tests.service.test_products import MOST, PRODUCTS, adjust, create

EXCHANGE, QUEUE, DEAD = "order_events", "inventory_inbox", "inventory_inbox.dlq"
CREATED, CANCELLED = "order.created", "order.cancelled"
SECONDS = 60.0
Lines = Sequence[tuple[int, int]]


def order(type: str, uid: UUID, lines: Lines, id: UUID | None = None) -> Message:
    """An event of an order, as orders publishes it; `lines` are products and quantities."""
    data = {
        "uid": uid,
        "id": 7,
        "order_id": f"CMD-{str(uid)[:8]}",
        "customer_id": "1",
        "email": None,
        "status": "pending",
        "total": 9.99,
        "lines": [
            {"product_id": product_id, "name": "DVD", "quantity": quantity, "unit_price": 9.99}
            for product_id, quantity in lines
        ],
        "reason": None,
        "timestamp": "2026-01-01T00:00:00Z",
    }
    return event(EXCHANGE, type, "orders-api", data, id=id)


def applied(handler: EventHandler, *messages: Message) -> None:
    """Have a batch of messages applied, as the consumer does it."""
    handler.apply([handler.parse(delivered(message.body)) for message in messages])


def delivered(body: bytes) -> Delivery:
    """A message as the broker hands it over; understanding it needs no channel."""
    return Delivery(cast(Channel, None), 1, body, pika.BasicProperties())


@pytest.fixture
def handler(movies_db: Database) -> EventHandler:
    """What the consumer applies events with."""
    return consumer.create_handler(movies_db)


def stocks(database: Database) -> dict[int, int]:
    """How many there are of each product, by its id."""
    with database.read() as connection:
        rows = connection.execute(text("SELECT id, stock FROM products ORDER BY id")).all()
        return {row.id: row.stock for row in rows}


def states(database: Database) -> dict[UUID, str]:
    """What became of each order."""
    with database.read() as connection:
        rows = connection.execute(text("SELECT uid, state FROM reservations")).all()
        return {row.uid: row.state for row in rows}


def reserved(database: Database) -> dict[int, int]:
    """How many of each product are reserved."""
    statement = (
        "SELECT product_id, sum(quantity) AS quantity FROM reservation_lines "
        "JOIN reservations USING (uid) WHERE state = 'reserved' GROUP BY product_id"
    )
    with database.read() as connection:
        rows = connection.execute(text(statement)).all()
        return {row.product_id: int(row.quantity) for row in rows}


def messages_applied(database: Database) -> int:
    """How many messages have been applied, each counted once."""
    with database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM inbox")).scalar_one())


def told(database: Database) -> list[dict[str, Any]]:
    """The events about stock in the outbox, in their order."""
    statement = "SELECT * FROM outbox WHERE routing_key LIKE 'stock.%' ORDER BY id"
    with database.read() as connection:
        rows = connection.execute(text(statement)).all()
    events = [json.loads(bytes(row.body)) for row in rows]
    for row, said in zip(rows, events, strict=True):
        assert (row.exchange, row.routing_key) == ("inventory_events", said["type"])
        assert row.aggregate == f"order/{said['data']['uid']}"
        assert said["source"] == "inventory-consumer"
    return events


def told_types(database: Database) -> list[str]:
    """The types of the events about stock."""
    return [said["type"] for said in told(database)]


def test_an_order_reserves_all_its_lines_and_says_so(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    for stock in (5, 1, 9):
        create(inventory, stock=stock)
    uid = uuid4()
    applied(handler, order(CREATED, uid, [(2, 1), (1, 2)]))
    assert stocks(movies_db) == {1: 3, 2: 0, 3: 9}
    assert states(movies_db) == {uid: "reserved"}
    [said] = told(movies_db)
    assert said["type"] == "stock.reserved"
    assert said["data"] == {
        "uid": str(uid),
        "order_id": f"CMD-{str(uid)[:8]}",
        "lines": [{"product_id": 2, "quantity": 1}, {"product_id": 1, "quantity": 2}],
    }


def test_what_is_short_is_named_and_then_nothing_is_reserved(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    for name, stock in (("Enough", 5), ("Short", 1), ("None left", 0)):
        create(inventory, name, stock=stock)
    uid = uuid4()
    applied(handler, order(CREATED, uid, [(1, 5), (2, 2), (3, 1), (99, 1)]))
    assert stocks(movies_db) == {1: 5, 2: 1, 3: 0}
    assert states(movies_db) == {uid: "rejected"}
    assert reserved(movies_db) == {}
    [said] = told(movies_db)
    assert said["type"] == "stock.rejected"
    assert said["data"] == {
        "uid": str(uid),
        "order_id": f"CMD-{str(uid)[:8]}",
        "reason": "not enough in stock: 2 of Short asked, 1 available; "
        "1 of None left asked, 0 available; product 99 does not exist",
        "short": [
            {"product_id": 2, "name": "Short", "asked": 2, "available": 1},
            {"product_id": 3, "name": "None left", "asked": 1, "available": 0},
            {"product_id": 99, "name": None, "asked": 1, "available": 0},
        ],
    }


def test_a_reason_stays_readable_when_very_much_is_short(
    movies_db: Database, handler: EventHandler
) -> None:
    applied(handler, order(CREATED, uuid4(), [(number, 1) for number in range(1, 101)]))
    [said] = told(movies_db)
    assert len(said["data"]["short"]) == 100
    assert said["data"]["reason"].endswith("product 5 does not exist; 95 more")


def test_lines_of_one_product_are_summed(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    applied(handler, order(CREATED, uuid4(), [(1, 3), (1, 3)]))
    assert told(movies_db)[0]["data"]["short"][0]["asked"] == 6
    applied(handler, order(CREATED, uuid4(), [(1, 2), (1, 3)]))
    assert told(movies_db)[1]["data"]["lines"] == [{"product_id": 1, "quantity": 5}]
    assert stocks(movies_db) == {1: 0}


def test_more_than_there_can_be_is_short_like_any_other(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=MOST)
    applied(handler, order(CREATED, uuid4(), [(1, MOST), (1, MOST)]))
    assert told(movies_db)[0]["data"]["short"][0]["asked"] == 2 * MOST


def test_an_order_without_lines_concerns_nobody_here(
    movies_db: Database, handler: EventHandler
) -> None:
    uid = uuid4()
    applied(handler, order(CREATED, uid, []), order(CANCELLED, uid, []))
    assert (states(movies_db), told(movies_db)) == ({}, [])


@pytest.mark.parametrize("type", ["order.updated", "order.completed", "order.deleted", "x"])
def test_what_else_happens_to_an_order_changes_nothing(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler, type: str
) -> None:
    create(inventory, stock=5)
    applied(handler, order(type, uuid4(), [(1, 1)]))
    assert (stocks(movies_db), states(movies_db), told(movies_db)) == ({1: 5}, {}, [])


def test_a_cancelled_order_gives_back_what_it_had_and_says_so(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5), create(inventory, stock=5)
    uid = uuid4()
    applied(handler, order(CREATED, uid, [(2, 2), (1, 5)]))
    assert stocks(movies_db) == {1: 0, 2: 3}
    # what it had, and not what the cancellation says
    applied(handler, order(CANCELLED, uid, [(1, 1)]))
    assert stocks(movies_db) == {1: 5, 2: 5}
    assert states(movies_db) == {uid: "released"}
    said = told(movies_db)[1]
    assert said["type"] == "stock.released"
    assert said["data"] == {
        "uid": str(uid),
        "order_id": f"CMD-{str(uid)[:8]}",
        "lines": [{"product_id": 1, "quantity": 5}, {"product_id": 2, "quantity": 2}],
    }


def test_an_order_that_is_cancelled_before_it_is_created_reserves_nothing(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    uid = uuid4()
    applied(handler, order(CANCELLED, uid, [(1, 2)]))
    assert states(movies_db) == {uid: "cancelled"}
    applied(handler, order(CREATED, uid, [(1, 2)]))
    assert (stocks(movies_db), states(movies_db)) == ({1: 5}, {uid: "cancelled"})
    assert told(movies_db) == []


def test_an_order_that_was_rejected_has_nothing_to_give_back(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=1)
    uid = uuid4()
    applied(handler, order(CREATED, uid, [(1, 2)]))
    applied(handler, order(CANCELLED, uid, [(1, 2)]))
    assert (stocks(movies_db), states(movies_db)) == ({1: 1}, {uid: "rejected"})
    assert told_types(movies_db) == ["stock.rejected"]


@pytest.mark.parametrize("same_id", [True, False])
def test_what_comes_again_changes_nothing(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler, same_id: bool
) -> None:
    create(inventory, stock=5)
    uid = uuid4()
    for type in (CREATED, CANCELLED):
        first = order(type, uid, [(1, 2)])
        again = first if same_id else order(type, uid, [(1, 2)])
        applied(handler, first, again)
        applied(handler, again)
    applied(handler, order(CREATED, uid, [(1, 2)]))
    assert (stocks(movies_db), states(movies_db)) == ({1: 5}, {uid: "released"})
    assert told_types(movies_db) == ["stock.reserved", "stock.released"]


def test_the_first_of_a_batch_gets_the_last_copy(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=1)
    uids = [uuid4() for _ in range(3)]
    applied(handler, *(order(CREATED, uid, [(1, 1)]) for uid in uids))
    assert [states(movies_db)[uid] for uid in uids] == ["reserved", "rejected", "rejected"]
    assert stocks(movies_db) == {1: 0}


def test_what_is_given_back_is_there_for_the_next(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=1)
    first, second = uuid4(), uuid4()
    applied(
        handler,
        order(CREATED, first, [(1, 1)]),
        order(CANCELLED, first, [(1, 1)]),
        order(CREATED, second, [(1, 1)]),
    )
    assert states(movies_db) == {first: "released", second: "reserved"}
    assert told_types(movies_db) == ["stock.reserved", "stock.released", "stock.reserved"]


def test_a_product_with_reservations_can_be_deleted_and_gets_nothing_back(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5), create(inventory, stock=5)
    uid = uuid4()
    applied(handler, order(CREATED, uid, [(1, 2), (2, 3)]))
    assert inventory.delete(f"{PRODUCTS}/1").status_code == 200
    applied(handler, order(CANCELLED, uid, [(1, 2), (2, 3)]))
    assert (stocks(movies_db), states(movies_db)) == ({2: 5}, {uid: "released"})
    assert told(movies_db)[1]["data"]["lines"] == [
        {"product_id": 1, "quantity": 2},
        {"product_id": 2, "quantity": 3},
    ]


def test_what_is_given_back_to_a_full_stock_stops_no_cancellation(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    uid = uuid4()
    applied(handler, order(CREATED, uid, [(1, 5)]))
    inventory.put(f"{PRODUCTS}/1", json={"stock": MOST - 1})
    applied(handler, order(CANCELLED, uid, [(1, 5)]))
    assert (stocks(movies_db), states(movies_db)) == ({1: MOST}, {uid: "released"})


def test_without_its_event_a_reservation_does_not_count(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    created = order(CREATED, uuid4(), [(1, 5)])
    with movies_db.read() as connection:
        connection.execute(text("ALTER TABLE outbox RENAME TO outbox_away"))
        with pytest.raises(Exception, match="outbox") as raised:
            applied(handler, created)
        connection.execute(text("ALTER TABLE outbox_away RENAME TO outbox"))
    assert handler.is_outage(raised.value)
    assert (stocks(movies_db), states(movies_db)) == ({1: 5}, {})
    applied(handler, created)
    assert stocks(movies_db) == {1: 0}


def test_what_is_said_about_stock_carries_the_ids_of_the_request_that_made_the_order(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    current = trace.Trace("my-request", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    headers = pika.BasicProperties(headers=dict(current.headers))
    body = order(CREATED, uuid4(), [(1, 1)]).body
    handler.apply([handler.parse(Delivery(cast(Channel, None), 1, body, headers))])
    with movies_db.read() as connection:
        statement = text("SELECT headers FROM outbox WHERE routing_key = 'stock.reserved'")
        kept = connection.execute(statement).scalar_one()
    assert kept["X-Request-ID"] == "my-request"
    assert kept["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"uid": "CMD001"}, "uid"),
    ({"uid": None}, "uid"),
    ({"order_id": ""}, "order_id"),
    ({"order_id": "x" * 51}, "order_id"),
    ({"order_id": "a\0b"}, "order_id"),
    ({"lines": None}, "lines"),
    ({"lines": {"product_id": 1}}, "lines"),
    ({"lines": [5]}, "lines.0"),
    ({"lines": [{"product_id": 1}]}, "lines.0.quantity"),
    ({"lines": [{"quantity": 1}]}, "lines.0.product_id"),
    ({"lines": [{"product_id": 0, "quantity": 1}]}, "lines.0.product_id"),
    ({"lines": [{"product_id": 2**63, "quantity": 1}]}, "lines.0.product_id"),
    ({"lines": [{"product_id": 1, "quantity": 0}]}, "lines.0.quantity"),
    ({"lines": [{"product_id": 1, "quantity": -1}]}, "lines.0.quantity"),
    ({"lines": [{"product_id": 1, "quantity": 2**31}]}, "lines.0.quantity"),
    ({"lines": [{"product_id": 1, "quantity": True}]}, "lines.0.quantity"),
]


@pytest.mark.parametrize("type", [CREATED, CANCELLED])
@pytest.mark.parametrize(("wrong", "named"), MALFORMED, ids=lambda value: f"{value}"[:50])
def test_an_order_that_is_none_is_refused_with_the_field_that_is_wrong(
    handler: EventHandler, type: str, wrong: dict[str, Any], named: str
) -> None:
    envelope = json.loads(order(type, uuid4(), [(1, 1)]).body)
    envelope["data"] |= wrong
    with pytest.raises(RejectedError, match=named):
        handler.parse(delivered(json.dumps(envelope).encode()))


# what may happen to five orders, of three products, over and over, in any order

UIDS = [UUID(int=number) for number in range(1, 6)]
WISHES: list[Lines] = [[(1, 1)], [(1, 2), (2, 1)], [(2, 2), (1, 1)], [(3, 3), (2, 1)], [(9, 1)]]
INITIAL = {1: 3, 2: 2, 3: 3}
STEPS = st.tuples(
    st.integers(0, len(UIDS) - 1), st.sampled_from([CREATED, CANCELLED]), st.integers(0, 1)
)
Step = tuple[int, str, int]


def expected(steps: Sequence[Step]) -> tuple[dict[UUID, str], dict[int, int], list[str]]:
    """States, stocks and types of events after `steps`: what the saga says about stock."""
    state: dict[UUID, str] = {}
    stock, types = dict(INITIAL), []
    for number, type, _id in steps:
        uid, wish = UIDS[number], WISHES[number]
        if type == CREATED and uid not in state:
            enough = all(stock.get(product_id, 0) >= asked for product_id, asked in wish)
            state[uid] = "reserved" if enough else "rejected"
            types.append(f"stock.{state[uid]}")
            for product_id, asked in wish if enough else []:
                stock[product_id] -= asked
        elif type == CANCELLED and state.get(uid) == "reserved":
            state[uid] = "released"
            types.append("stock.released")
            for product_id, asked in wish:
                stock[product_id] += asked
        elif type == CANCELLED:
            state.setdefault(uid, "cancelled")
    return state, stock, types


def stocked(database: Database, initial: Mapping[int, int]) -> None:
    """Begin anew with these products."""
    tables = "products, reservations, reservation_lines, outbox, inbox"
    insert = text("INSERT INTO products (id, name, price, stock) VALUES (:id, 'DVD', 1, :stock)")
    with database.read() as connection:
        connection.execute(text(f"TRUNCATE {tables}"))
        connection.execute(insert, [{"id": id, "stock": stock} for id, stock in initial.items()])


def batches(steps: Sequence[Step], sizes: Sequence[int]) -> Iterator[Sequence[Step]]:
    """Cut `steps` into batches of these sizes, and what is left into single ones."""
    place = 0
    for size in [*sizes, *[1] * len(steps)]:
        yield steps[place : place + size]
        place += size


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(STEPS, max_size=25), sizes=st.lists(st.integers(1, 10), min_size=1, max_size=8)
)
def test_whatever_comes_in_whatever_order_stock_and_reservations_add_up(
    movies_db: Database, handler: EventHandler, steps: list[Step], sizes: list[int]
) -> None:
    stocked(movies_db, INITIAL)
    ids = {step: uuid4() for step in steps}
    for batch in batches(steps, sizes):
        applied(
            handler, *(order(step[1], UIDS[step[0]], WISHES[step[0]], ids[step]) for step in batch)
        )
        together = Counter(stocks(movies_db)) + Counter(reserved(movies_db))
        assert together == INITIAL
    assert (states(movies_db), stocks(movies_db), told_types(movies_db)) == expected(steps)


def test_consumers_that_work_on_the_same_orders_and_products_at_once_never_disturb_each_other(
    movies_db: Database, database_settings: Callable[[str], DatabaseSettings]
) -> None:
    products = dict.fromkeys(range(1, 9), 40)
    stocked(movies_db, products)
    chance = random.Random(5)
    wishes = {
        uuid4(): [(id, chance.randint(1, 3)) for id in chance.sample(sorted(products), 3)]
        for _ in range(150)
    }
    made = [order(CREATED, uid, lines) for uid, lines in wishes.items()]
    undone = [order(CANCELLED, uid, lines) for uid, lines in wishes.items() if uid.int % 2]

    def consume(seed: int) -> None:
        mixed = [*made, *undone, *made, *undone]
        random.Random(seed).shuffle(mixed)
        database = Database(database_settings("inventory"), connections=1)
        own = consumer.create_handler(database)
        for place in range(0, len(mixed), 20):
            applied(own, *mixed[place : place + 20])
        database.close()

    def replenish(_seed: int) -> None:
        for _ in range(20):
            for product_id in chance.sample(sorted(products), len(products)):
                with movies_db.read() as connection:
                    change = text("UPDATE products SET stock = stock + 1 WHERE id = :id")
                    connection.execute(change, {"id": product_id})

    with ThreadPoolExecutor(4) as pool:
        # a deadlock would end one of them with an error
        for done in [*(pool.submit(consume, seed) for seed in range(3)), pool.submit(replenish, 0)]:
            done.result(SECONDS)
    together = Counter(stocks(movies_db)) + Counter(reserved(movies_db))
    assert together == {id: stock + 20 for id, stock in products.items()}
    assert set(states(movies_db)) == set(wishes)
    for uid, state in states(movies_db).items():
        assert state in (ENDS if uid.int % 2 else STAYS)
    types = Counter((said["type"], said["data"]["uid"]) for said in told(movies_db))
    assert set(types.values()) == {1}


STAYS, ENDS = {"reserved", "rejected"}, {"released", "cancelled", "rejected"}


def test_orders_that_are_made_and_cancelled_at_once_never_wait_for_each_other(
    movies_db: Database, handler: EventHandler
) -> None:
    # of a product that is deleted, and so is no row that could be locked
    lines = [(1, 1)]
    barrier = threading.Barrier(2)

    def apply(type: str, uids: Sequence[UUID]) -> None:
        messages = [order(type, uid, lines) for uid in uids]
        barrier.wait()
        applied(handler, *messages)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            uids = [uuid4() for _ in range(20)]
            made = pool.submit(apply, CREATED, uids)
            pool.submit(apply, CANCELLED, uids[::-1]).result(SECONDS)
            made.result(SECONDS)
    assert set(states(movies_db).values()) <= ENDS


@pytest.fixture
def channel(inventory_settings: Settings) -> Iterator[BlockingChannel]:
    """A channel beside the consumer's; the exchange is there, the queues are empty."""
    with connect(inventory_settings.broker) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.exchange_declare(EXCHANGE, "topic", durable=True)
        for name in (QUEUE, DEAD):
            channel.queue_declare(name, durable=True, arguments=broker.QUORUM)
            channel.queue_purge(name)
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
def consume(inventory_settings: Settings) -> Iterator[Callable[[], None]]:
    """Start an inventory-consumer in a thread."""
    running: list[tuple[threading.Event, threading.Thread]] = []

    def start() -> None:
        stop = threading.Event()
        thread = threading.Thread(target=consumer.run, args=(inventory_settings, stop))
        thread.start()
        running.append((stop, thread))

    yield start
    for stop, thread in running:
        stop.set()
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_of_orders_for_the_last_copies_so_many_get_them_with_two_consumers_at_once(
    channel: BlockingChannel,
    inventory: FlaskClient,
    movies_db: Database,
    consume: Callable[[], None],
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
    consume: Callable[[], None],
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
    consume: Callable[[], None],
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
    uids = [uuid4() for _ in range(600)]
    for number, uid in enumerate(uids, 1):
        publish(channel, order(CREATED, uid, [(1, 1), (2, 2)]))
        if number % 3 == 0:
            publish(channel, order(CANCELLED, uid, [(1, 1), (2, 2)]))
    for reached in (1, 200, 400):
        process.start()
        wait_until(
            lambda: len(states(movies_db)) >= reached,  # noqa: B023 - called in this very turn
            SECONDS,
            f"{reached} orders",
        )
        process.end(signal.SIGKILL)
    process.start()
    wait_until(lambda: messages_applied(movies_db) == 800, SECONDS, "all to be applied")
    assert set(states(movies_db)) == set(uids)
    assert Counter(stocks(movies_db)) + Counter(reserved(movies_db)) == {1: 700, 2: 700}
    assert set(Counter((s["type"], s["data"]["uid"]) for s in told(movies_db)).values()) == {1}


def test_a_line_in_the_log_says_what_became_of_an_order(
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
