"""Finding orders with their items, their history, and figures of all of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select

from chassis.errors import NotFoundError
from chassis.storage.database import streamed
from chassis.storage.idempotency_keys import RETENTION
from orders.models import Order, OrderChange, OrderLine

FoundOrder = dict[str, Any]
"""An order's columns, without the key of its request, and its lines as `items`."""

_ORDER: tuple[Any, ...] = (
    Order.id,
    Order.uid,
    Order.order_id,
    Order.customer_id,
    Order.status,
    Order.total_amount,
    Order.created_at,
    Order.updated_at,
    Order.reason,
)
_FETCHED = 200  # lines at a time, of up to 1 KiB
_LINE = (OrderLine.product_id, OrderLine.name, OrderLine.quantity, OrderLine.unit_price)
_CHANGE = (
    OrderChange.from_status,
    OrderChange.to_status,
    OrderChange.at,
    OrderChange.cause,
    OrderChange.message_id,
)


@contextmanager
def find(
    connection: Connection,
    *,
    status: str | None = None,
    customer_id: str | None = None,
    order_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: int | None = None,
    limit: int,
) -> Iterator[Iterator[FoundOrder]]:
    """Lend up to `limit` orders, the newest first, as they are taken.

    Args:
        connection: in a transaction, which a cursor in the database needs.
        status: the state they are in.
        customer_id: whose they are.
        order_id: the one with this name.
        since: the earliest time of creation.
        until: the time before which they were created.
        after: the id of the last order of the page before.
        limit: at most so many.
    """
    given = {Order.status: status, Order.customer_id: customer_id, Order.order_id: order_id}
    chosen: list[ColumnElement[bool]] = [
        column == value for column, value in given.items() if value is not None
    ]
    if since is not None:
        chosen.append(Order.created_at >= since)
    if until is not None:
        chosen.append(Order.created_at < until)
    if after is not None:
        chosen.append(Order.id < after)
    page = select(*_ORDER).where(*chosen).order_by(Order.id.desc()).limit(limit)
    with streamed(connection, _with_lines(page), _FETCHED) as rows:
        yield _orders(rows)


def get(connection: Connection, order_pk: int) -> FoundOrder:
    """Return one order.

    Raises:
        NotFoundError: there is none with this id.
    """
    return _one(connection, Order.id == order_pk, f"There is no order with the id {order_pk}.")


def get_by_order_id(connection: Connection, order_id: str) -> FoundOrder:
    """Return the order that its caller calls `order_id`.

    Raises:
        NotFoundError: there is none.
    """
    return _one(connection, Order.order_id == order_id, f"There is no order {order_id!r}.")


def of_request(connection: Connection, request_key: UUID) -> FoundOrder | None:
    """Return the order that a request with this key has made, if one has before it expired."""
    fresh = Order.created_at >= func.now() - RETENTION
    made = select(*_ORDER).where(Order.request_key == request_key, fresh)
    found = _with_items(connection, made)
    return found[0] if found else None


def locked(connection: Connection, order_pk: int) -> FoundOrder:
    """Return one order, which nobody else can change before the transaction ends.

    Raises:
        NotFoundError: there is none with this id.
    """
    connection.execute(select(Order.id).where(Order.id == order_pk).with_for_update())
    return get(connection, order_pk)


def lock_by_uid(connection: Connection, uids: Iterable[UUID]) -> Sequence[int]:
    """Lock orders, in the order of their ids, which are returned; some may not exist."""
    rows = select(Order.id).where(Order.uid.in_(set(uids))).order_by(Order.id)
    return connection.execute(rows.with_for_update()).scalars().all()


def history(connection: Connection, order_pk: int) -> Sequence[RowMapping]:
    """Return the changes of an order's state, the first one first.

    Raises:
        NotFoundError: there is no order with this id.
    """
    changes = select(*_CHANGE).where(OrderChange.order_pk == order_pk).order_by(OrderChange.id)
    found = connection.execute(changes).mappings().all()
    if not found:
        get(connection, order_pk)
    return found


def _one(connection: Connection, chosen: ColumnElement[bool], otherwise: str) -> FoundOrder:
    found = _with_items(connection, select(*_ORDER).where(chosen))
    if not found:
        raise NotFoundError(otherwise)
    return found[0]


def _with_items(connection: Connection, orders: Select[Any]) -> list[FoundOrder]:
    return list(_orders(connection.execute(_with_lines(orders)).mappings()))


def _with_lines(orders: Select[Any]) -> Select[Any]:
    """Return the query of orders and their lines: one statement, so one state of the tables."""
    page = orders.subquery()
    return (
        select(page, *(column.label(f"line_{column.key}") for column in _LINE))
        .outerjoin(OrderLine, OrderLine.order_pk == page.c.id)
        .order_by(page.c.id.desc(), OrderLine.product_id)
    )


def _orders(rows: Iterable[RowMapping]) -> Iterator[FoundOrder]:
    """Put orders together from the rows of `_with_lines`."""
    for _id, lines in groupby(rows, lambda row: row["id"]):
        group = list(lines)
        order = {str(column.key): group[0][column.key] for column in _ORDER}
        yield {**order, "items": _items(group)}


def _items(rows: Iterable[RowMapping]) -> list[dict[str, Any]]:
    return [
        {str(column.key): row[f"line_{column.key}"] for column in _LINE}
        for row in rows
        if row["line_product_id"] is not None
    ]
