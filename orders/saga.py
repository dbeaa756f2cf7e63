"""The saga: events of inventory and billing move an order to its end.

Each reaction is idempotent: a duplicate, a late event, or one out of order finds the order in a
state in which there is nothing to do. Sources: docs/messages.md.
"""

import logging
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from chassis import trace
from chassis.json import encode
from chassis.messaging.declarations import DIRECT
from chassis.messaging.event_handler import BatchReaction, EventData, ReceivedEvent
from chassis.messaging.message import Message
from chassis.storage import after_commit
from orders import deleted_orders, queries
from orders.allowed_transitions import after_event
from orders.queries import OrderFacts
from orders.transitions import Cause, Confirmation, OrderChanges

SOURCE = "orders-consumer"
INVENTORY, BILLING = "inventory_events", "billing_events"
BILLS = "order_bills"
"""The queue for the bills of orders, apart from the bills that clients post."""
# the one spelling of a UUID that bills have
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CONFIRMED: dict[Confirmation, tuple[str, str]] = {
    "stock_freed_at": ("cancelled", "stock_owed"),
    "stock_sold_at": ("completed", "stock_owed"),
    "bill_voided_at": ("cancelled", "bill_owed"),
}
"""The state in which an order waits for a confirmation, and its column of deleted_orders."""
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


def _apply(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    """Apply events of the saga, in order, to orders that `lock` has locked."""
    _Saga(connection, events).apply()


REACTIONS: dict[str, BatchReaction[Any]] = {
    "stock.reserved": BatchReaction(INVENTORY, StockReserved, _apply),
    "stock.rejected": BatchReaction(INVENTORY, StockRejected, _apply),
    "stock.released": BatchReaction(INVENTORY, StockReserved, _apply),
    "stock.sold": BatchReaction(INVENTORY, StockReserved, _apply),
    # no binding: billing copies those of the bills of orders to the queue
    "bill.recorded": BatchReaction(DIRECT, BillRecorded, _apply),
    "bill.voided": BatchReaction(BILLING, BillRecorded, _apply),
}
"""What orders does about the events of inventory and billing."""


class _Saga:
    """The events of a batch, and the orders that they move."""

    def __init__(self, connection: Connection, events: Sequence[ReceivedEvent]) -> None:
        self._connection = connection
        self._events = events
        found = queries.by_uid(connection, _uids(events))
        self._orders = {order["uid"]: order for order in found}
        self._changes = OrderChanges(connection, found)

    def apply(self) -> None:
        """Apply the events, and write the changes."""
        acts: dict[str, Callable[[ReceivedEvent, Any], object]] = {
            "stock.reserved": self._move,
            "stock.rejected": self._reject,
            "stock.released": partial(self._confirm, "stock_freed_at"),
            "stock.sold": partial(self._confirm, "stock_sold_at"),
            "bill.recorded": self._record,
            "bill.voided": partial(self._confirm, "bill_voided_at"),
        }
        for event in self._events:
            with trace.within(event.trace):
                acts[event.type](event, event.data)
        self._changes.write()

    def _move(self, event: ReceivedEvent, data: SagaData) -> None:
        """Move the order as the event says, if it waits for that."""
        order = self._changes.get(data.order_uid) if data.order_uid else None
        type = "bill.voided" if _is_void(data) else event.type
        status = after_event(type, order["status"], bool(order["items"])) if order else None
        if order is None or status is None:
            known = order and order["status"]
            extra = {"uid": str(data.order_uid), "cause": event.type, "status": known}
            after_commit.log(self._connection, logger, "nothing to do", extra)
            return
        if status == "processing":
            self._changes.send(bill(order), order)
        reason = data.reason if isinstance(data, StockRejected) else None
        self._changes.move(order, status, Cause(SOURCE, event.type, event.id), reason)

    def _reject(self, event: ReceivedEvent, data: StockRejected) -> None:
        self._move(event, data)
        self._confirm("stock_freed_at", event, data)

    def _record(self, event: ReceivedEvent, data: BillRecorded) -> None:
        self._move(event, data)
        if _is_void(data):
            self._confirm("bill_voided_at", event, data)

    def _confirm(self, confirmation: Confirmation, event: ReceivedEvent, data: SagaData) -> None:
        """Record the first confirmation that an order, at its end, waited for."""
        uid = data.order_uid
        if uid is not None and self._is_first(confirmation, uid):
            extra = {"uid": str(uid), "confirmed": confirmation}
            after_commit.log(self._connection, logger, "order is confirmed", extra)

    def _is_first(self, confirmation: Confirmation, uid: UUID) -> bool:
        status, owed = _CONFIRMED[confirmation]
        order = self._changes.get(uid)
        if order is None:
            return deleted_orders.confirm(self._connection, uid, status, owed)
        if (
            order["status"] != status
            or self._orders[uid][confirmation] is not None
            or self._changes.is_confirmed(order, confirmation)
        ):
            return False
        self._changes.confirm(order, confirmation)
        return True


def _is_void(data: SagaData) -> bool:
    return isinstance(data, BillRecorded) and data.voided_at is not None


def _uids(events: Sequence[ReceivedEvent]) -> list[UUID]:
    named = [event.data.order_uid for event in events if isinstance(event.data, SagaData)]
    return [uid for uid in named if uid]


def lock(connection: Connection, events: Sequence[ReceivedEvent]) -> None:
    """Lock the orders of a batch, all batches in the same sequence: none deadlock."""
    uids = _uids(events)
    if not uids:
        return
    missing = set(uids) - queries.lock_by_uid(connection, uids)
    if missing:
        deleted_orders.lock(connection, missing)


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
