"""The saga: what inventory and billing say moves an order to its end.

Each reaction is idempotent: an event that comes again, late, or out of its order finds the order in
a state in which there is nothing to do. Sources: docs/messages.md.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, case, func, update

from chassis import trace
from chassis.json import encode
from chassis.messaging.event_handler import EventData, Reaction, ReceivedEvent
from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from orders import deleted_orders, queries
from orders.events import aggregate
from orders.models import Order
from orders.participants import BILLS
from orders.queries import FoundOrder
from orders.transitions import Cause, move

SOURCE = "orders-consumer"
# as it is written into the bill, of the many ways to write a UUID
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
logger = logging.getLogger(__name__)


class StockReserved(EventData):
    """All that an order needs is put aside."""

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
    """Something that an order needs is short; nothing is put aside."""

    reason: str


class BillRecorded(EventData):
    """A bill is recorded: that of an order has the order's uid for its id."""

    id: str
    voided_at: Any = None

    @property
    def order_uid(self) -> UUID | None:
        """The order, None if the id can't be one's."""
        return UUID(self.id) if _UID.fullmatch(self.id) else None

    @property
    def aggregate(self) -> UUID | None:
        """The order."""
        return self.order_uid


SagaData = StockReserved | BillRecorded


def _reserved(connection: Connection, data: StockReserved, event_id: str) -> None:
    """Go on with a pending order: ask for its bill."""
    cause = Cause(SOURCE, "stock.reserved", event_id)
    order = _order_in(connection, data, "pending", cause)
    if order is not None:
        outbox.add(connection, bill(order), aggregate(order))
        move(connection, order, "processing", cause)


def _rejected(connection: Connection, data: StockRejected, event_id: str) -> None:
    """Cancel a pending order, and say what is short."""
    cause = Cause(SOURCE, "stock.rejected", event_id)
    order = _order_in(connection, data, "pending", cause)
    if order is not None:
        move(connection, order, "cancelled", cause, data.reason)
    _confirm(connection, data, Order.stock_freed_at, "cancelled", "stock_owed")


def _released(connection: Connection, data: StockReserved, event_id: str) -> None:
    """Note that a cancelled order has given its stock back."""
    _confirm(connection, data, Order.stock_freed_at, "cancelled", "stock_owed")


def _sold(connection: Connection, data: StockReserved, event_id: str) -> None:
    """Note that the stock of a completed order is sold."""
    _confirm(connection, data, Order.stock_sold_at, "completed", "stock_owed")


def _recorded(connection: Connection, data: BillRecorded, event_id: str) -> None:
    """Complete an order that waits for its bill."""
    cause = Cause(SOURCE, "bill.recorded", event_id)
    order = _order_in(connection, data, "processing", cause)
    if order is not None:
        move(connection, order, "completed", cause)
    elif data.voided_at is not None:
        _voided(connection, data, event_id)


def _voided(connection: Connection, data: BillRecorded, event_id: str) -> None:
    """Note that the bill of a cancelled order is void."""
    _confirm(connection, data, Order.bill_voided_at, "cancelled", "bill_owed")


REACTIONS: dict[str, Reaction[Any]] = {
    "stock.reserved": Reaction(StockReserved, _reserved),
    "stock.rejected": Reaction(StockRejected, _rejected),
    "stock.released": Reaction(StockReserved, _released),
    "stock.sold": Reaction(StockReserved, _sold),
    "bill.recorded": Reaction(BillRecorded, _recorded),
    "bill.voided": Reaction(BillRecorded, _voided),
}
"""What orders does about the events of inventory and billing."""


def _confirm(connection: Connection, data: SagaData, column: Any, status: str, owed: str) -> None:
    """Note that what an order waited for at its end has come, the first time.

    Args:
        connection: in a transaction that has locked the order.
        data: what has come.
        column: when it came.
        status: the state in which an order waits for it.
        owed: its name if the order is deleted by now.
    """
    uid = data.order_uid
    if uid is None:
        return
    now = func.clock_timestamp()
    # one that is stuck no more is looked at in time, not after the last pause
    sweep_at = case((Order.resends > 0, now), else_=Order.sweep_at)
    values = {column: now, Order.sweep_at: sweep_at, Order.resends: 0}
    waits = update(Order).where(Order.uid == uid, Order.status == status, column.is_(None))
    if connection.execute(waits.values(values)).rowcount or deleted_orders.confirm(
        connection, uid, status, owed
    ):
        logger.info("order is confirmed", extra={"uid": str(uid), "confirmed": column.key})


def lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    """Lock the orders that a batch is about, in one order: no two batches wait for each other."""
    named = [event.data.order_uid for event in events if isinstance(event.data, SagaData)]
    uids = [uid for uid in named if uid]
    queries.lock_by_uid(connection, uids)
    deleted_orders.lock(connection, uids)


def bill(order: FoundOrder) -> Message:
    """Make the message that asks for an order's bill; its id is the order's uid."""
    body = {
        "user_id": order["customer_id"],
        "number_of_items": sum(item["quantity"] for item in order["items"]),
        "total_amount": order["total_amount"],
        "order_id": order["order_id"],
    }
    current = trace.current()
    headers = current.headers if current else {}
    return Message(encode(body), BILLS, id=str(order["uid"]), headers=headers, urgent=True)


def _order_in(
    connection: Connection, data: SagaData, status: str, cause: Cause
) -> FoundOrder | None:
    """Return the order, locked, if it has items and is in `status`; else there is nothing to do."""
    uid = data.order_uid
    found = queries.lock_by_uid(connection, [uid]) if uid else []
    order = queries.get(connection, found[0]) if found else None
    if order is not None and order["items"] and order["status"] == status:
        return order
    extra = {"uid": str(uid), "cause": cause.name, "status": order and order["status"]}
    logger.info("nothing to do", extra=extra)
    return None
