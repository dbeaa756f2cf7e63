"""Changes of orders' states: the rows, their history and their events, in one transaction.

allowed_transitions.py decides which changes are allowed. Changes of locked orders are made in
memory, one after the other, and then written all at once: a batch of any size takes one statement
for the rows, one for the history and one for the messages.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from chassis.messaging.message import Message
from chassis.outbox import table as outbox
from chassis.storage import after_commit
from chassis.storage.prepared import PreparedStatement
from orders.allowed_transitions import event_of
from orders.customer_replica import table as customers
from orders.events import aggregate, order_event
from orders.queries import OrderView

Confirmation = Literal["stock_freed_at", "stock_sold_at", "bill_voided_at"]
"""The column of orders that says when a confirmation came."""
_WRITE = PreparedStatement(
    "write_orders",
    """
    UPDATE orders SET
        status = new.status,
        reason = new.reason,
        resends = 0,
        updated_at = CASE WHEN moved THEN clock_timestamp() ELSE orders.updated_at END,
        -- one that was stuck is due soon again, not after its last, long wait
        sweep_at = CASE
            WHEN moved OR orders.resends > 0 THEN clock_timestamp() ELSE orders.sweep_at
        END,
        stock_freed_at = CASE WHEN freed THEN clock_timestamp() ELSE orders.stock_freed_at END,
        stock_sold_at = CASE WHEN sold THEN clock_timestamp() ELSE orders.stock_sold_at END,
        bill_voided_at = CASE WHEN voided THEN clock_timestamp() ELSE orders.bill_voided_at END
    FROM unnest(
        CAST(:id AS bigint[]), CAST(:status AS text[]), CAST(:reason AS text[]),
        CAST(:moved AS boolean[]), CAST(:freed AS boolean[]), CAST(:sold AS boolean[]),
        CAST(:voided AS boolean[])
    ) AS new (id, status, reason, moved, freed, sold, voided)
    WHERE orders.id = new.id
    RETURNING orders.id, orders.updated_at
    """,
)
# not now(): the transaction may have begun before the last change
_RECORD = PreparedStatement(
    "record_history",
    """
    INSERT INTO order_history (order_pk, from_status, to_status, at, cause, message_id)
    SELECT order_pk, from_status, to_status, clock_timestamp(), cause, message_id
    FROM unnest(
        CAST(:order_pk AS bigint[]), CAST(:from_status AS text[]), CAST(:to_status AS text[]),
        CAST(:cause AS text[]), CAST(:message_id AS text[])
    ) WITH ORDINALITY AS new (order_pk, from_status, to_status, cause, message_id, position)
    ORDER BY position
    """,
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cause:
    """What causes a change.

    Attributes:
        source: the process that changes the order, such as `orders-api`.
        name: the type of the event that causes it, or `api`.
        message_id: that event's id, or the request's.
    """

    source: str
    name: str
    message_id: str | None


class _Step(NamedTuple):
    """A row of an order's history."""

    order_pk: int
    from_status: str
    to_status: str
    cause: str
    message_id: str | None


@dataclass
class _Row:
    """A changed order, and what has changed."""

    order: OrderView
    is_moved: bool = False
    confirmed: set[Confirmation] = field(default_factory=set)

    def values(self) -> dict[str, Any]:
        """Return what `_WRITE` needs."""
        return {
            "id": self.order["id"],
            "status": self.order["status"],
            "reason": self.order["reason"],
            "moved": self.is_moved,
            "freed": "stock_freed_at" in self.confirmed,
            "sold": "stock_sold_at" in self.confirmed,
            "voided": "bill_voided_at" in self.confirmed,
        }


class OrderChanges:
    """Changes of locked orders, which `write` writes."""

    def __init__(self, connection: Connection, locked: Iterable[OrderView]) -> None:
        """Prepare for changes.

        Args:
            connection: in the transaction that holds the orders' locks.
            locked: the orders that may change.
        """
        self._connection = connection
        self._orders: dict[UUID, OrderView] = {order["uid"]: order for order in locked}
        self._rows: dict[UUID, _Row] = {}
        self._steps: list[_Step] = []
        self._messages: list[tuple[Message, str]] = []

    def get(self, uid: UUID) -> OrderView | None:
        """Return an order as the changes so far have left it; None if it is not among them."""
        return self._orders.get(uid)

    def send(self, message: Message, order: OrderView) -> None:
        """Send a message about an order, behind those that were sent before."""
        self._messages.append((message, aggregate(order)))

    def move(self, order: OrderView, status: str, cause: Cause, reason: str | None = None) -> None:
        """Move an order to another state; the caller has checked `status`.

        Args:
            order: its current state.
            status: the new state.
            cause: what causes the change, in the current trace.
            reason: the explanation for the customer.
        """
        self._change({**order, "status": status, "reason": reason}).is_moved = True
        step = _Step(order["id"], order["status"], status, cause.name, cause.message_id)
        self._steps.append(step)
        moved = self._orders[order["uid"]]
        email = self._emails.get(order["customer_id"])
        self.send(order_event(event_of(status), moved, cause.source, email), moved)
        _log(self._connection, order, status, cause)

    def confirm(self, order: OrderView, confirmation: Confirmation) -> None:
        """Record that a confirmation has come for an order."""
        self._change(order).confirmed.add(confirmation)

    def is_confirmed(self, order: OrderView, confirmation: Confirmation) -> bool:
        """Return whether one of the changes is this confirmation."""
        row = self._rows.get(order["uid"])
        return row is not None and confirmation in row.confirmed

    def write(self) -> Mapping[int, datetime]:
        """Write all changes, and return when each changed order was last updated, by its id."""
        changed = _columns([row.values() for row in self._rows.values()])
        updated = _WRITE.execute(self._connection, changed) if changed else []
        if self._steps:
            steps = _columns([step._asdict() for step in self._steps])
            _RECORD.execute(self._connection, steps)
        messages = [message for message, _aggregate in self._messages]
        outbox.add_all(self._connection, messages, [name for _message, name in self._messages])
        return dict(updated)

    def _change(self, order: OrderView) -> _Row:
        self._orders[order["uid"]] = order
        row = self._rows.setdefault(order["uid"], _Row(order))
        row.order = order
        return row

    @cached_property
    def _emails(self) -> Mapping[str, str]:
        named = {order["customer_id"] for order in self._orders.values()}
        return customers.emails_of(self._connection, named)


def move(
    connection: Connection, order: OrderView, status: str, cause: Cause, reason: str | None = None
) -> OrderView:
    """Move one locked order to another state and return it, as `OrderChanges.move` does."""
    changes = OrderChanges(connection, [order])
    changes.move(order, status, cause, reason)
    updated = changes.write()
    return {**order, "status": status, "reason": reason, "updated_at": updated[order["id"]]}


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _log(connection: Connection, order: OrderView, status: str, cause: Cause) -> None:
    extra = {
        "order_id": order["order_id"],
        "uid": str(order["uid"]),
        "from_status": order["status"],
        "to_status": status,
        "cause": cause.name,
    }
    after_commit.log(connection, logger, "order moved", extra)
