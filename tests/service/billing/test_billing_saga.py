"""Billing's part of the saga in the database: bills, their cancellations, in whatever order."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from billing import bills
from billing.consumer import PROCESS
from billing.handlers.bill_recorder import BillHandler, ReceivedBill
from billing.handlers.order_cancelled import REACTIONS
from billing.schemas import BillMessage, CancelledOrder
from chassis import trace
from chassis.messaging.event_handler import EventHandler, ReceivedEvent
from chassis.settings import DatabaseSettings
from chassis.storage.database import Database
from tests.support.databases import altered
from tests.support.examples import examples
from tools.stack.waiting import wait_until

Row = dict[str, Any]
VALUES: Row = {"user_id": "usr_1", "number_of_items": 3, "total_amount": Decimal("99.97")}
SECONDS = 90.0


def bill(uid: UUID) -> ReceivedBill:
    """The bill of an order, as it comes from billing_queue."""
    return ReceivedBill(str(uid), BillMessage(**VALUES, order_id="CMD001"), trace.continued({}))


def cancelled(uid: UUID, event_id: str | None = None) -> ReceivedEvent:
    """order.cancelled, as it comes from billing_inbox."""
    return ReceivedEvent(
        event_id or str(uuid4()),
        "order.cancelled",
        CancelledOrder(uid=uid),
        REACTIONS["order.cancelled"],
        trace.continued({}),
    )


class Billing:
    """What billing-consumer does with its two queues."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._recording = BillHandler(database)
        self._of_orders = BillHandler(database, of_orders=True)
        self._voiding = EventHandler(database, PROCESS, REACTIONS)

    def record(self, *uids: UUID) -> None:
        """Record a batch of bills."""
        self._recording.apply([bill(uid) for uid in uids])

    def record_of_orders(self, *uids: UUID) -> None:
        """Record a batch of bills that orders has asked for."""
        self._of_orders.apply([bill(uid) for uid in uids])

    def void(self, *uids: UUID) -> None:
        """Apply a batch of order.cancelled, each a new event."""
        self.apply([cancelled(uid) for uid in uids])

    def apply(self, events: Sequence[ReceivedEvent]) -> None:
        """Apply a batch of events."""
        self._voiding.apply(events)

    def rows(self, statement: str) -> list[Row]:
        """What a query finds."""
        with self.database.autocommit() as connection:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]

    def bills(self) -> dict[UUID, Row]:
        """All bills, by the uids of their orders."""
        return {UUID(row["message_id"]): row for row in self.rows("SELECT * FROM orders")}

    def void_bills(self) -> set[UUID]:
        """Whose bills are void."""
        return {uid for uid, row in self.bills().items() if row["voided_at"] is not None}

    def told(self, type: str = "bill.recorded") -> list[Row]:
        """The data of the events of a type in the outbox."""
        rows = self.rows(f"SELECT body FROM outbox WHERE routing_key = '{type}' ORDER BY id")
        return [json.loads(bytes(row["body"]))["data"] for row in rows]


@pytest.fixture
def service(billing_db: Database) -> Billing:
    """Billing on an empty database."""
    return Billing(billing_db)


def test_a_bill_whose_order_is_cancelled_is_void(service: Billing) -> None:
    one, other = uuid4(), uuid4()
    service.record(one, other)
    service.void(one)
    assert service.void_bills() == {one}


def test_a_bill_after_the_cancellation_is_recorded_as_void_since_the_cancellation(
    service: Billing,
) -> None:
    one, other = uuid4(), uuid4()
    service.void(one)
    [note] = service.rows("SELECT * FROM voided_bills")
    service.record(other, one)
    recorded = service.bills()
    assert recorded[other]["voided_at"] is None
    assert recorded[one]["voided_at"] == note["voided_at"]


def test_a_repeated_cancellation_leaves_the_time_of_the_first(service: Billing) -> None:
    uid, event_id = uuid4(), str(uuid4())
    service.record(uid)
    service.apply([cancelled(uid, event_id)])
    before = service.bills()
    service.apply([cancelled(uid, event_id)])
    service.void(uid, uid)
    service.record(uid)
    assert service.bills() == before


def test_repeated_cancellations_leave_one_note(service: Billing) -> None:
    uid = uuid4()
    service.void(uid)
    before = service.rows("SELECT * FROM voided_bills")
    service.void(uid, uid)
    assert service.rows("SELECT * FROM voided_bills") == before


def test_each_recorded_bill_is_announced_once_as_it_is_shown(
    service: Billing, billing: FlaskClient
) -> None:
    uids = [uuid4() for _ in range(4)]
    service.void(uids[3])
    service.record(uids[0], uids[1], uids[0])
    service.record(*uids)
    told = service.told()
    assert [data["id"] for data in told] == [str(uid) for uid in uids]
    assert [data["voided_at"] is None for data in told] == [True, True, True, False]
    shown = json.loads(billing.get("/api/billing").data)
    assert told == shown[::-1]


def test_a_bill_that_orders_requests_again_is_announced_again_unchanged(service: Billing) -> None:
    one, other, new = uuid4(), uuid4(), uuid4()
    service.record(one)
    service.record_of_orders(other)
    service.void(other)
    before = service.bills()
    service.record_of_orders(one, one, other, new)
    assert [data["id"] for data in service.told()] == [*map(str, (one, other, new))]
    told = service.told("orders_inbox")
    assert [data["id"] for data in told] == [*map(str, (other, new, one, other))]
    assert [data["voided_at"] is None for data in told] == [True, True, True, False]
    assert {uid: row for uid, row in service.bills().items() if uid != new} == before


def test_a_voided_bill_is_announced_as_the_api_shows_it(
    service: Billing, billing: FlaskClient
) -> None:
    one, other = uuid4(), uuid4()
    service.record(one, other)
    service.void(one, uuid4())
    shown = json.loads(billing.get(f"/api/billing/{one}").data)
    assert service.told("bill.voided") == [shown]
    assert shown["voided_at"] is not None


def test_a_repeated_cancellation_is_answered_again(service: Billing) -> None:
    recorded, missing = uuid4(), uuid4()
    service.record(recorded)
    service.void(recorded, missing)
    service.void(recorded, missing)
    [first, again, note] = service.told("bill.voided")
    assert first == again
    assert note["id"] == str(missing) and note["voided_at"] is not None
    assert {value for name, value in note.items() if name not in ("id", "voided_at")} == {None}


def test_a_cancellation_that_is_delivered_twice_is_announced_once(service: Billing) -> None:
    uid = uuid4()
    service.record(uid)
    event_id = str(uuid4())
    service.apply([cancelled(uid, event_id), cancelled(uid, event_id)])
    service.apply([cancelled(uid, event_id)])
    assert len(service.told("bill.voided")) == 1


def test_a_bill_that_is_not_committed_is_not_announced(service: Billing) -> None:
    fill, empty = "ADD CONSTRAINT filled CHECK (false) NOT VALID", "DROP CONSTRAINT filled"
    with (
        altered(service.database, "outbox", fill, f"ALTER TABLE outbox {empty}"),
        pytest.raises(Exception, match="filled"),
    ):
        service.record(uuid4())
    assert (service.bills(), service.told()) == ({}, [])


_BATCH = st.lists(st.integers(0, 3), min_size=1, max_size=5)
_CANCELLATION = st.tuples(st.integers(0, 3), st.integers(0, 1))  # of which order, which event
_STEP = st.one_of(
    st.tuples(st.just("bills"), _BATCH),
    st.tuples(st.just("events"), st.lists(_CANCELLATION, min_size=1, max_size=5)),
)


@examples(20)
@given(steps=st.lists(_STEP, max_size=8))
def test_bills_and_cancellations_may_come_in_any_order_and_any_number(
    service: Billing, steps: list[tuple[str, list[Any]]]
) -> None:
    uids = [uuid4() for _ in range(4)]
    billed, ended = set(), set()
    for kind, batch in steps:
        if kind == "bills":
            service.record(*(uids[order] for order in batch))
            billed |= {uids[order] for order in batch}
        else:
            service.apply([cancelled(uids[o], f"{uids[o]}-{event}") for o, event in batch])
            ended |= {uids[order] for order, _event in batch}
    assert set(service.bills()) & set(uids) == billed
    assert service.void_bills() & set(uids) == billed & ended
    told = [UUID(data["id"]) for data in service.told() if UUID(data["id"]) in uids]
    assert sorted(told) == sorted(billed)


@contextmanager
def behind(database: Database, act: Callable[[], None]) -> Iterator[Future[None]]:
    """Start `act` in a thread and have it wait, for a lock, while the block is entered."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(act)

        def waits() -> bool:
            with database.autocommit() as connection:
                locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                return bool(connection.execute(text(locks)).scalar_one())

        wait_until(waits, SECONDS, "one to wait for the other")
        assert not future.done()
        yield future
        future.result(SECONDS)


def test_a_cancellation_that_races_its_bill_waits_for_it_and_voids_it(service: Billing) -> None:
    uid = uuid4()
    with service.database.transaction() as connection:
        bills.record(connection, [bill(uid).row])
        with behind(service.database, lambda: service.void(uid)):
            connection.commit()
    assert service.void_bills() == {uid}
    assert service.rows("SELECT * FROM voided_bills") == []


def test_a_bill_that_races_its_cancellation_waits_for_it_and_is_void(service: Billing) -> None:
    uid = uuid4()
    with service.database.transaction() as connection:
        bills.void(connection, str(uid))
        with behind(service.database, lambda: service.record(uid)):
            connection.commit()
    assert service.void_bills() == {uid}


def test_a_bill_is_valid_if_its_cancellation_was_rolled_back(service: Billing) -> None:
    uid = uuid4()
    with service.database.transaction() as connection:
        bills.void(connection, str(uid))
        with behind(service.database, lambda: service.record(uid)):
            connection.rollback()
    assert (set(service.bills()), service.void_bills()) == ({uid}, set())


def test_two_batches_of_bills_do_not_wait_for_each_other(service: Billing) -> None:
    one, other = uuid4(), uuid4()
    with service.database.transaction() as connection:
        bills.record(connection, [bill(one).row])
        service.record(other)
    assert set(service.bills()) == {one, other}


def test_many_concurrent_races_end_with_void_bills_and_no_deadlock(
    service: Billing, database_settings: Callable[[str], DatabaseSettings]
) -> None:
    uids = [uuid4() for _ in range(300)]
    databases = [Database(database_settings("billing"), connections=1) for _ in range(4)]
    workers = [Billing(database) for database in databases]

    def run(number: int) -> None:
        order = Random(number).sample(uids, len(uids))
        for start in range(0, len(order), 10):
            batch = order[start : start + 10]
            # two that record disjoint bills, as the broker deals them out, and two that void all
            mine = [uid for uid in batch if uid.int % 2 == number]
            if number >= 2:
                workers[number].void(*batch)
            elif mine:
                workers[number].record(*mine)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    for database in databases:
        database.close()
    assert service.void_bills() == set(uids)
    assert len(service.told()) == len(uids)
