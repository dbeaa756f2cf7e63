"""The saga: events of inventory and billing move an order to its end.

Each reaction is idempotent: a duplicate, a late event, or one out of order finds the order in a
state in which there is nothing to do. Sources: docs/messages.md.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, case, func, update

from chassis import trace
from chassis.json import encode
from chassis.messaging.declarations import DIRECT
from chassis.messaging.event_handler import EventData, Reaction, ReceivedEvent
from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from chassis.storage import after_commit
from orders import deleted_orders, queries
from orders.allowed_transitions import after_event
from orders.events import aggregate
from orders.models import orders
from orders.queries import OrderFacts, OrderView
from orders.transitions import Cause, move

SOURCE = "orders-consumer"
INVENTORY, BILLING = "inventory_events", "billing_events"
BILLS = "order_bills"
"""The queue for the bills of orders, apart from the bills that clients post."""
# the one spelling of a UUID that bills have
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
logger = logging.getLogger(__name__)


class StockReserved(EventData):
    """Everything that an order needs is reserved."""

    uid: UUID

    @property
    def order_uid(self) -> UUID:
        """The order."""
        return self.uid

    @property
    def aggregate(self) -> UUID:
        """The order."""
        return self.uid


class StockRejected(StockReserved):
    """Something that an order needs is out of stock; nothing is reserved."""

    reason: str


class BillRecorded(EventData):
    """A bill is recorded; the id of an order's bill is the order's uid."""

    id: str
    voided_at: Any = None

    @property
    def order_uid(self) -> UUID | None:
        """The order; None if the id is no uid."""
        return UUID(self.id) if _UID.fullmatch(self.id) else None

    @property
    def aggregate(self) -> UUID | None:
        """The order."""
        return self.order_uid


SagaData = StockReserved | BillRecorded


def _reserved(connection: Connection, data: StockReserved, event_id: str) -> None:
    """Process a pending order: ask for its bill."""
    cause = Cause(SOURCE, "stock.reserved", event_id)
    order, status = _next_status(connection, data, cause)
    if order and status:
        outbox.add(connection, bill(order), aggregate(order))
        move(connection, order, status, cause)


def _rejected(connection: Connection, data: StockRejected, event_id: str) -> None:
    """Cancel a pending order; the reason names what is out of stock."""
    cause = Cause(SOURCE, "stock.rejected", event_id)
    order, status = _next_status(connection, data, cause)
    if order and status:
        move(connection, order, status, cause, data.reason)
    _confirm(connection, data, orders.c.stock_freed_at, "cancelled", "stock_owed")


def _released(connection: Connection, data: StockReserved, event_id: str) -> None:
    """Record that a cancelled order's stock is released."""
    _confirm(connection, data, orders.c.stock_freed_at, "cancelled", "stock_owed")


def _sold(connection: Connection, data: StockReserved, event_id: str) -> None:
    """Record that a completed order's stock is sold."""
    _confirm(connection, data, orders.c.stock_sold_at, "completed", "stock_owed")


def _recorded(connection: Connection, data: BillRecorded, event_id: str) -> None:
    """Complete an order that waits for its bill."""
    cause = Cause(SOURCE, "bill.recorded", event_id)
    order, status = _next_status(connection, data, cause)
    if order and status:
        move(connection, order, status, cause)
    elif data.voided_at is not None:
        _voided(connection, data, event_id)


def _voided(connection: Connection, data: BillRecorded, event_id: str) -> None:
    """Record that a cancelled order's bill is void."""
    _confirm(connection, data, orders.c.bill_voided_at, "cancelled", "bill_owed")


REACTIONS: dict[str, Reaction[Any]] = {
    "stock.reserved": Reaction(INVENTORY, StockReserved, _reserved),
    "stock.rejected": Reaction(INVENTORY, StockRejected, _rejected),
    "stock.released": Reaction(INVENTORY, StockReserved, _released),
    "stock.sold": Reaction(INVENTORY, StockReserved, _sold),
    # no binding: billing copies those of the bills of orders to the queue
    "bill.recorded": Reaction(DIRECT, BillRecorded, _recorded),
    "bill.voided": Reaction(BILLING, BillRecorded, _voided),
}
"""What orders does about the events of inventory and billing."""


def _confirm(connection: Connection, data: SagaData, column: Any, status: str, owed: str) -> None:
    """Record the first confirmation that an order, at its end, waited for.

    Args:
        connection: in a transaction that has locked the order.
        data: the confirmation.
        column: of orders: when it came.
        status: the state in which an order waits for it.
        owed: its column of deleted_orders, should the order be deleted by now.
    """
    uid = data.order_uid
    if uid is None:
        return
    now = func.clock_timestamp()
    # one that was stuck is due soon again, not after its last, long wait
    sweep_at = case((orders.c.resends > 0, now), else_=orders.c.sweep_at)
    values = {column: now, orders.c.sweep_at: sweep_at, orders.c.resends: 0}
    waits = update(orders).where(orders.c.uid == uid, orders.c.status == status, column.is_(None))
    if connection.execute(waits.values(values)).rowcount or deleted_orders.confirm(
        connection, uid, status, owed
    ):
        extra = {"uid": str(uid), "confirmed": column.key}
        after_commit.log(connection, logger, "order is confirmed", extra)


def lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    """Lock the orders of a batch, all batches in the same sequence: none deadlock."""
    named = [event.data.order_uid for event in events if isinstance(event.data, SagaData)]
    uids = [uid for uid in named if uid]
    queries.lock_by_uid(connection, uids)
    deleted_orders.lock(connection, uids)


def bill(order: OrderFacts) -> Message:
    """Return the message that asks for an order's bill; its id is the order's uid."""
    body = {
        "user_id": order["customer_id"],
        "number_of_items": sum(item["quantity"] for item in order["items"]),
        "total_amount": order["total_amount"],
        "order_id": order["order_id"],
    }
    current = trace.current()
    headers = current.headers if current else {}
    return Message(encode(body), BILLS, id=str(order["uid"]), headers=headers, urgent=True)


def _next_status(
    connection: Connection, data: SagaData, cause: Cause
) -> tuple[OrderView | None, str | None]:
    """Return the order, locked, and the state that an event moves it to; None if to none."""
    uid = data.order_uid
    order_pks = queries.lock_by_uid(connection, [uid]) if uid else []
    order = queries.get(connection, order_pks[0]) if order_pks else None
    status = after_event(cause.name, order["status"], bool(order["items"])) if order else None
    if status is None:
        extra = {"uid": str(uid), "cause": cause.name, "status": order and order["status"]}
        after_commit.log(connection, logger, "nothing to do", extra)
    return order, status
