"""The operations of the API on orders; each change has its event."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from psycopg2.errors import DeadlockDetected, UniqueViolation
from sqlalchemy import Connection, delete, func, insert, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from chassis.errors import ConflictError
from chassis.preconditions import Check
from chassis.storage import after_commit
from chassis.storage.idempotency_keys import RETENTION
from orders import allowed_transitions, deleted_orders, queries, transitions
from orders.events import announce
from orders.models import order_lines, orders
from orders.queries import OrderView
from orders.transitions import Cause, record_change

_ATTEMPTS = 10  # to find a free order_id: even a second one is hardly ever needed
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
    order_pk = _insert(connection, values, names, request_key)
    if order_pk is None:
        return _repeated(connection, given, request_key)
    _insert_lines(connection, order_pk, lines)
    record_change(connection, order_pk, None, values["status"], cause)
    order = queries.get(connection, order_pk)
    _announce(connection, "order.created", order, cause)
    return order


def _insert(
    connection: Connection,
    values: Mapping[str, Any],
    names: Iterable[str],
    request_key: UUID | None,
) -> int | None:
    """Insert an order and return its id; None if each of `names`, or `request_key`, is taken."""
    for order_id in names:
        row = {**values, "order_id": order_id, "request_key": request_key}
        row["sweep_at"] = func.clock_timestamp()
        statement = postgresql.insert(orders).values(**row).on_conflict_do_nothing()
        order_pk: int | None = connection.execute(statement.returning(orders.c.id)).scalar()
        if order_pk is not None:
            return order_pk
    return None


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


def _insert_lines(
    connection: Connection, order_pk: int, lines: Sequence[Mapping[str, Any]]
) -> None:
    if lines:
        rows = [{"order_pk": order_pk, **line} for line in lines]
        connection.execute(insert(order_lines), rows)


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
    extra = {"order_id": order["order_id"], "uid": str(order["uid"])}
    after_commit.log(connection, logger, event_type.replace(".", " "), extra)
