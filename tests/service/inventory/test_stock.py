"""inventory-consumer: stock that orders reserve, all or nothing, and that is given back once."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from uuid import UUID, uuid4

import pika
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from pika.channel import Channel
from sqlalchemy import text

from chassis import trace
from chassis.messaging.delivery import Delivery, RejectedError
from chassis.messaging.event_handler import EventHandler
from chassis.messaging.message import Message
from chassis.settings import DatabaseSettings
from chassis.storage.database import Database
from inventory import consumer
from tests.support.databases import without_outbox
from tests.support.examples import examples
from tests.support.products_api import MOST, PRODUCTS, create
from tests.support.reservations import (
    CANCELLED,
    COMPLETED,
    CREATED,
    SECONDS,
    Lines,
    order,
    reserved,
    states,
    stocks,
    told,
    told_types,
)


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


def test_an_order_reserves_all_its_lines_and_announces_it(
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


def test_with_a_shortage_it_is_named_and_nothing_is_reserved(
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


def test_an_impossible_quantity_is_a_shortage_like_any_other(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=MOST)
    applied(handler, order(CREATED, uuid4(), [(1, MOST), (1, MOST)]))
    assert told(movies_db)[0]["data"]["short"][0]["asked"] == 2 * MOST


def test_an_order_without_lines_is_ignored(movies_db: Database, handler: EventHandler) -> None:
    uid = uuid4()
    applied(handler, order(CREATED, uid, []), order(CANCELLED, uid, []))
    assert (states(movies_db), told(movies_db)) == ({}, [])


@pytest.mark.parametrize("type", ["order.updated", "order.deleted", "x"])
def test_other_events_of_an_order_change_nothing(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler, type: str
) -> None:
    create(inventory, stock=5)
    applied(handler, order(type, uuid4(), [(1, 1)]))
    assert (stocks(movies_db), states(movies_db), told(movies_db)) == ({1: 5}, {}, [])


def test_a_cancelled_order_releases_its_stock_and_announces_it(
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
    assert told_types(movies_db) == ["stock.rejected"]
    assert told(movies_db)[0]["data"]["reason"] == "the order was cancelled"


def test_a_rejected_order_has_no_stock_to_release(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=1)
    uid = uuid4()
    applied(handler, order(CREATED, uid, [(1, 2)]))
    applied(handler, order(CANCELLED, uid, [(1, 2)]))
    assert (stocks(movies_db), states(movies_db)) == ({1: 1}, {uid: "rejected"})
    assert told_types(movies_db) == ["stock.rejected"]


def test_a_redelivery_changes_nothing(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    uid = uuid4()
    for type in (CREATED, CANCELLED):
        first = order(type, uid, [(1, 2)])
        applied(handler, first, first)
        applied(handler, first)
    applied(handler, order(CREATED, uid, [(1, 2)]))
    assert (stocks(movies_db), states(movies_db)) == ({1: 5}, {uid: "released"})
    assert told_types(movies_db) == ["stock.reserved", "stock.released", "stock.rejected"]


def test_an_order_that_has_ended_and_was_restored_gets_an_answer(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    """orders_db was restored from a backup, in which the order still waits for its stock."""
    create(inventory, stock=5)
    sold, released = uuid4(), uuid4()
    for uid, end in ((sold, COMPLETED), (released, CANCELLED)):
        applied(handler, order(CREATED, uid, [(1, 2)]), order(end, uid, [(1, 2)]))
    before = len(told(movies_db))
    for uid in (sold, released):
        applied(handler, order(CREATED, uid, [(1, 2)]))
    assert stocks(movies_db) == {1: 3}
    assert states(movies_db) == {sold: "completed", released: "released"}
    assert told_types(movies_db)[before:] == ["stock.reserved", "stock.rejected"]


def test_a_repeated_reservation_gets_the_first_answer(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    kept, rejected = uuid4(), uuid4()
    lines = {kept: [(1, 2)], rejected: [(1, 4), (99, 1)]}
    for uid, wish in lines.items():
        applied(handler, order(CREATED, uid, wish), order(CREATED, uid, wish))
    # what is there by now is no part of the answer
    inventory.put(f"{PRODUCTS}/1", json={"stock": 50}, headers={"If-Match": "*"})
    for uid, wish in lines.items():
        applied(handler, order(CREATED, uid, wish))
    assert stocks(movies_db) == {1: 50}
    assert states(movies_db) == {kept: "reserved", rejected: "rejected"}
    for uid, type in ((kept, "stock.reserved"), (rejected, "stock.rejected")):
        said = [event for event in told(movies_db) if event["data"]["uid"] == str(uid)]
        assert [event["type"] for event in said] == [type] * 3
        assert said[0]["data"] == said[1]["data"] == said[2]["data"]
        assert len({event["id"] for event in said}) == 3


def test_a_repeated_cancellation_announces_the_released_stock_again(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    released, rejected, early = uuid4(), uuid4(), uuid4()
    applied(handler, order(CREATED, released, [(1, 2)]), order(CREATED, rejected, [(1, 9)]))
    before = told_types(movies_db)
    for _ in range(3):
        for uid in (released, rejected, early):
            applied(handler, order(CANCELLED, uid, [(1, 2)]))
    assert stocks(movies_db) == {1: 5}
    assert states(movies_db) == {released: "released", rejected: "rejected", early: "cancelled"}
    said = told(movies_db)[len(before) :]
    assert {event["type"] for event in said} == {"stock.released"}
    lines = [event["data"]["lines"] for event in said if event["data"]["uid"] == str(released)]
    assert lines == [[{"product_id": 1, "quantity": 2}]] * 3
    for uid in (rejected, early):
        lines = [event["data"]["lines"] for event in said if event["data"]["uid"] == str(uid)]
        assert lines == [[], []]


def test_a_rejection_from_before_reasons_is_repeated_without_one(
    movies_db: Database, handler: EventHandler
) -> None:
    uid = uuid4()
    applied(handler, order(CREATED, uid, [(99, 1)]))
    with movies_db.autocommit() as connection:
        connection.execute(text("UPDATE reservations SET short = NULL"))
    applied(handler, order(CREATED, uid, [(99, 1)]))
    assert told(movies_db)[1]["data"]["reason"] == "not enough in stock"
    assert told(movies_db)[1]["data"]["short"] == []


def test_the_first_of_a_batch_gets_the_last_copy(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=1)
    uids = [uuid4() for _ in range(3)]
    applied(handler, *(order(CREATED, uid, [(1, 1)]) for uid in uids))
    assert [states(movies_db)[uid] for uid in uids] == ["reserved", "rejected", "rejected"]
    assert stocks(movies_db) == {1: 0}


def test_released_stock_can_be_reserved_again(
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


def test_a_full_stock_stops_no_cancellation(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    uid = uuid4()
    applied(handler, order(CREATED, uid, [(1, 5)]))
    inventory.put(f"{PRODUCTS}/1", json={"stock": MOST - 1}, headers={"If-Match": "*"})
    applied(handler, order(CANCELLED, uid, [(1, 5)]))
    assert (stocks(movies_db), states(movies_db)) == ({1: MOST}, {uid: "released"})


def test_without_its_event_a_reservation_is_rolled_back(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    created = order(CREATED, uuid4(), [(1, 5)])
    with without_outbox(movies_db), pytest.raises(Exception, match="outbox") as raised:
        applied(handler, created)
    assert handler.is_outage(raised.value)
    assert (stocks(movies_db), states(movies_db)) == ({1: 5}, {})
    applied(handler, created)
    assert stocks(movies_db) == {1: 0}


def test_stock_events_carry_the_ids_of_the_orders_request(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    current = trace.Trace("my-request", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    headers = pika.BasicProperties(headers=dict(current.headers))
    body = order(CREATED, uuid4(), [(1, 1)]).body
    handler.apply([handler.parse(Delivery(cast(Channel, None), 1, body, headers))])
    with movies_db.autocommit() as connection:
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


def test_a_completed_order_has_sold_what_it_reserved_and_nothing_gives_it_back(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    uid, unknown, bare = uuid4(), uuid4(), uuid4()
    lines = [(1, 2)]
    applied(handler, order(CREATED, uid, lines), order(CREATED, bare, []))
    applied(handler, order(COMPLETED, uid, lines), order(COMPLETED, unknown, lines))
    applied(handler, order(COMPLETED, bare, []), order(CANCELLED, uid, lines))
    assert (stocks(movies_db), states(movies_db)) == ({1: 3}, {uid: "completed"})
    assert told_types(movies_db) == ["stock.reserved", "stock.sold", "stock.sold"]
    sold = {event["data"]["uid"]: event["data"] for event in told(movies_db)[1:]}
    line = {"product_id": 1, "quantity": 2}
    assert sold[str(uid)] == {"uid": str(uid), "order_id": f"CMD-{str(uid)[:8]}", "lines": [line]}
    # nothing of it is reserved, which is all that orders asks
    assert sold[str(unknown)]["lines"] == []


def test_sold_stock_is_never_announced_as_released(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    """orders_db was restored from a backup, and the order was cancelled before it ended again."""
    create(inventory, stock=5)
    uid, lines = uuid4(), [(1, 2)]
    applied(handler, order(CREATED, uid, lines), order(COMPLETED, uid, lines))
    before = len(told(movies_db))
    for _ in range(2):
        applied(handler, order(CANCELLED, uid, lines))
    assert (stocks(movies_db), states(movies_db)) == ({1: 3}, {uid: "completed"})
    [said] = told(movies_db)[before:]
    assert (said["type"], said["data"]["lines"]) == ("stock.released", [])


def test_a_repeated_completion_announces_the_sold_stock_again(
    inventory: FlaskClient, movies_db: Database, handler: EventHandler
) -> None:
    create(inventory, stock=5)
    sold, released = uuid4(), uuid4()
    applied(handler, order(CREATED, sold, [(1, 2)]), order(CREATED, released, [(1, 1)]))
    applied(handler, order(CANCELLED, released, [(1, 1)]))
    before = told_types(movies_db)
    for _ in range(3):
        applied(handler, *(order(COMPLETED, uid, [(1, 2)]) for uid in (sold, released)))
    assert stocks(movies_db) == {1: 3}
    assert states(movies_db) == {sold: "completed", released: "released"}
    said = told(movies_db)[len(before) :]
    assert [event["type"] for event in said] == ["stock.sold"] * 6
    lines = [{"product_id": 1, "quantity": 2}]
    assert [event["data"]["lines"] for event in said] == [lines, []] * 3
    assert len({event["id"] for event in said}) == 6


@pytest.mark.parametrize("type", [CREATED, CANCELLED, COMPLETED])
@pytest.mark.parametrize(("wrong", "named"), MALFORMED, ids=lambda value: f"{value}"[:50])
def test_an_invalid_order_is_refused_naming_the_field(
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
    undone: set[UUID] = set()
    # of one that is delivered again, the first
    for number, type, _id in dict.fromkeys(steps):
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
        elif type == CREATED and state[uid] in STAYS:
            types.append(f"stock.{state[uid]}")
        elif type == CREATED:
            types.append("stock.rejected")
        elif type == CANCELLED and uid in undone:
            types.append("stock.released")
        elif type == CANCELLED:
            state.setdefault(uid, "cancelled")
        if type == CANCELLED:
            undone.add(uid)
    return state, stock, types


def stocked(database: Database, initial: Mapping[int, int]) -> None:
    """Begin anew with these products."""
    tables = "products, reservations, reservation_lines, outbox, inbox"
    insert = text("INSERT INTO products (id, name, price, stock) VALUES (:id, 'DVD', 1, :stock)")
    with database.autocommit() as connection:
        connection.execute(text(f"TRUNCATE {tables}"))
        connection.execute(insert, [{"id": id, "stock": stock} for id, stock in initial.items()])


def batches(steps: Sequence[Step], sizes: Sequence[int]) -> Iterator[Sequence[Step]]:
    """Cut `steps` into batches of these sizes, and what is left into single ones."""
    place = 0
    for size in [*sizes, *[1] * len(steps)]:
        yield steps[place : place + size]
        place += size


@examples(25)
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


def test_concurrent_consumers_of_the_same_orders_and_products_never_disturb_each_other(
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
                with movies_db.autocommit() as connection:
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
