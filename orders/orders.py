"""The operations of the API on orders; each change has its event."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, cast
from uuid import UUID, uuid4

from psycopg2.errors import DeadlockDetected, UniqueViolation
from sqlalchemy import Connection, delete, func, update
from sqlalchemy.exc import DBAPIError

from chassis.errors import ConflictError
from chassis.outbox import table as outbox
from chassis.preconditions import Check
from chassis.storage import after_commit
from chassis.storage.idempotency_keys import RETENTION
from chassis.storage.prepared import PreparedStatement
from orders import allowed_transitions, deleted_orders, queries, transitions
from orders.customer_replica import table as customers
from orders.events import aggregate, announce, order_event
from orders.models import orders
from orders.queries import Item, OrderView
from orders.transitions import Cause

_ATTEMPTS = 10  # to find a free order_id: even a second one is hardly ever needed
_CENT = Decimal("0.01")
_CREATE = PreparedStatement(
    "create_order",
    f"""
    WITH new AS (
        INSERT INTO orders
            (order_id, customer_id, status, total_amount, request_key, sweep_at)
        VALUES (
            CAST(:order_id AS text), CAST(:customer_id AS text), CAST(:status AS text),
            CAST(:total_amount AS numeric), CAST(:request_key AS uuid), clock_timestamp()
        )
        ON CONFLICT DO NOTHING
        RETURNING *
    ), lines AS (
        INSERT INTO order_lines (order_pk, product_id, name, quantity, unit_price)
        SELECT new.id, given.* FROM new, unnest(
            CAST(:product_id AS bigint[]), CAST(:name AS text[]), CAST(:quantity AS integer[]),
            CAST(:unit_price AS numeric[])
        ) AS given
    ), history AS (
        INSERT INTO order_history (order_pk, to_status, at, cause, message_id)
        SELECT id, status, clock_timestamp(), CAST(:cause AS text), CAST(:message_id AS text)
        FROM new
    )
    SELECT {", ".join(f"new.{name}" for name in queries.ORDER_NAMES)},
        (SELECT email FROM customers WHERE customers.id = CAST(:customer AS bigint))
    FROM new
    """,
)
_CANCELLED_BY_HAND = "cancelled on request"
logger = logging.getLogger(__name__)


def readable_id() -> str:
    """Return a name for an order, such as `ORD-5F3A9C0B41D7`."""
    return f"ORD-{uuid4().hex[:12].upper()}"


def create(
    connection: Connection,
    values: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    cause: Cause,
    request_key: UUID | None = None,
    new_order_id: Callable[[], str] = readable_id,
) -> OrderView:
    """Store an order and return it.

    Args:
        connection: in a transaction.
        values: `customer_id`, `total_amount`, `status`, and `order_id` or None.
        lines: the items; none for a bare order.
        cause: what causes the change.
        request_key: the same for each repetition of a request, so that all make one order.
        new_order_id: makes the `order_id` of an order that comes without one.

    Raises:
        ConflictError: another order has this `order_id`.
    """
    _release_if_expired(connection, request_key)
    given = values["order_id"]
    names = [given] if given is not None else [new_order_id() for _ in range(_ATTEMPTS)]
    stored = _insert(connection, {**values, "request_key": request_key}, names, lines, cause)
    if stored is None:
        return _repeated(connection, given, request_key)
    order, email = stored
    message = order_event("order.created", order, cause.source, email)
    outbox.add(connection, message, aggregate(order))
    _log(connection, "order.created", order)
    return order


def _insert(
    connection: Connection,
    values: Mapping[str, Any],
    names: Iterable[str],
    lines: Sequence[Mapping[str, Any]],
    cause: Cause,
) -> tuple[OrderView, str | None] | None:
    """Insert an order with its lines and its history, and return it with its customer's address.

    None if each of `names`, or the request key, is taken.
    """
    items = sorted(map(_item, lines), key=lambda item: item["product_id"])
    given = {
        **values,
        "product_id": [item["product_id"] for item in items],
        "name": [item["name"] for item in items],
        "quantity": [item["quantity"] for item in items],
        "unit_price": [item["unit_price"] for item in items],
        "cause": cause.name,
        "message_id": cause.message_id,
        "customer": customers.key(values["customer_id"]),
    }
    for order_id in names:
        for *columns, email in _CREATE.execute(connection, {**given, "order_id": order_id}):
            stored = dict(zip(queries.ORDER_NAMES, columns, strict=True))
            return cast(OrderView, {**stored, "items": items}), email
    return None


def _item(line: Mapping[str, Any]) -> Item:
    """Return a line as the database stores it."""
    return {
        "product_id": line["product_id"],
        "name": line["name"],
        "quantity": line["quantity"],
        "unit_price": line["unit_price"].quantize(_CENT),
    }


def change(
    connection: Connection,
    order_pk: int,
    values: Mapping[str, Any],
    cause: Cause,
    check: Check | None = None,
) -> OrderView:
    """Change `customer_id`, `order_id` or `total_amount` of a bare order and return it.

    The order must pass `check` first, here as in `move` and `remove`.

    Raises:
        NotFoundError: no order has this id.
        ConflictError: its items or its state forbid it, or another order has this `order_id`.
    """
    _check_change(_locked(connection, order_pk, check), values)
    statement = update(orders).where(orders.c.id == order_pk).values(**values)
    with _unique_order_id():
        connection.execute(statement.values(updated_at=func.clock_timestamp()))
    order = queries.get(connection, order_pk)
    _announce(connection, "order.updated", order, cause)
    return order


def move(
    connection: Connection, order_pk: int, status: str, cause: Cause, check: Check | None = None
) -> OrderView:
    """Move an order to another state and return it; nothing changes if it is in it already.

    Raises:
        NotFoundError: no order has this id.
        ConflictError: that is not allowed; the message names what is.
    """
    order = _locked(connection, order_pk, check)
    if order["status"] == status:
        return order
    allowed_transitions.check_by_hand(order["status"], status, bool(order["items"]))
    reason = _CANCELLED_BY_HAND if status == "cancelled" else None
    return transitions.move(connection, order, status, cause, reason)


def remove(
    connection: Connection, order_pk: int, cause: Cause, check: Check | None = None
) -> OrderView:
    """Delete an order and return what it was.

    Confirmations that inventory and billing owe are still requested.

    Raises:
        NotFoundError: no order has this id.
        ConflictError: it has items and has not ended.
    """
    order = _locked(connection, order_pk, check)
    allowed_transitions.check_deletable(order["status"], bool(order["items"]))
    deleted_orders.keep(connection, order)
    connection.execute(delete(orders).where(orders.c.id == order_pk))
    _announce(connection, "order.deleted", order, cause)
    return order


def _locked(connection: Connection, order_pk: int, check: Check | None) -> OrderView:
    order = queries.locked(connection, order_pk)
    if check is not None:
        check(order)
    return order


def _release_if_expired(connection: Connection, request_key: UUID | None) -> None:
    """Free a request key that has expired: when it is used again, it makes another order."""
    if request_key is None:
        return
    old = update(orders).where(
        orders.c.request_key == request_key, orders.c.created_at < func.now() - RETENTION
    )
    connection.execute(old.values(request_key=None))


def _repeated(connection: Connection, order_id: str | None, request_key: UUID | None) -> OrderView:
    """Return the order that this request has made before; if none, the order_id is taken."""
    earlier = queries.of_request(connection, request_key) if request_key else None
    if earlier is not None:
        return earlier
    raise ConflictError(f"Another order has the order_id {order_id!r} already.")


def _check_change(order: OrderView, values: Mapping[str, Any]) -> None:
    if order["items"] or "items" in values:
        raise ConflictError(
            "Items never change, nor do the customer, order_id and amount of an order with items."
        )
    amount = values.get("total_amount", order["total_amount"])
    if amount != order["total_amount"] and order["status"] != "pending":
        raise ConflictError(
            f"The amount of an order changes only while it is pending; it is {order['status']}."
        )


@contextmanager
def _unique_order_id() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        # two orders that swap their names at once deadlock, which PostgreSQL breaks
        if not isinstance(error.orig, UniqueViolation | DeadlockDetected):
            raise
        raise ConflictError("Another order has this order_id already.") from None


def _announce(connection: Connection, event_type: str, order: OrderView, cause: Cause) -> None:
    announce(connection, event_type, order, cause.source)
    _log(connection, event_type, order)


def _log(connection: Connection, event_type: str, order: OrderView) -> None:
    extra = {"order_id": order["order_id"], "uid": str(order["uid"])}
    after_commit.log(connection, logger, event_type.replace(".", " "), extra)
