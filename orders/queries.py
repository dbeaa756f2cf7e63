"""Queries of orders, with their items, and of their history."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select

from chassis.errors import found
from chassis.storage.database import streamed
from chassis.storage.idempotency_keys import RETENTION
from orders.models import Order, OrderChange, OrderLine

OrderView = dict[str, Any]
"""An order's columns without `request_key`, and its lines as `items`."""

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
_FETCH_SIZE = 200  # lines at a time, of up to 1 KiB
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
) -> Iterator[Iterator[OrderView]]:
    """Yield up to `limit` orders, the newest first, fetched while they are iterated.

    Args:
        connection: in a transaction, which a server-side cursor needs.
        status: only orders in this state.
        customer_id: only orders of this customer.
        order_id: only the order with this name.
        since: the earliest time of creation.
        until: the time before which they were created.
        after: the id of the last order of the previous page.
        limit: the largest number of orders.
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
    with streamed(connection, _with_lines(page), _FETCH_SIZE) as rows:
        yield _orders(rows)


def get(connection: Connection, order_pk: int) -> OrderView:
    """Return one order.

    Raises:
        NotFoundError: there is none with this id.
    """
    return found(_first(connection, Order.id == order_pk), "order", order_pk)


def get_by_order_id(connection: Connection, order_id: str) -> OrderView:
    """Return the order with this `order_id`.

    Raises:
        NotFoundError: there is none.
    """
    return found(_first(connection, Order.order_id == order_id), "order", order_id, "order_id")


def of_request(connection: Connection, request_key: UUID) -> OrderView | None:
    """Return the order that a request with this key has made, unless the key has expired."""
    is_valid = Order.created_at >= func.now() - RETENTION
    return _first(connection, Order.request_key == request_key, is_valid)


def locked(connection: Connection, order_pk: int) -> OrderView:
    """Return one order, locked until the transaction ends.

    Raises:
        NotFoundError: there is none with this id.
    """
    connection.execute(select(Order.id).where(Order.id == order_pk).with_for_update())
    return get(connection, order_pk)


def lock_by_uid(connection: Connection, uids: Iterable[UUID]) -> Sequence[int]:
    """Lock the orders that exist, by ascending id, and return their ids."""
    rows = select(Order.id).where(Order.uid.in_(set(uids))).order_by(Order.id)
    return connection.execute(rows.with_for_update()).scalars().all()


def history(connection: Connection, order_pk: int) -> Sequence[RowMapping]:
    """Return the changes of an order's state, the oldest first.

    Raises:
        NotFoundError: there is no order with this id.
    """
    changes = select(*_CHANGE).where(OrderChange.order_pk == order_pk).order_by(OrderChange.id)
    rows = connection.execute(changes).mappings().all()
    if not rows:
        get(connection, order_pk)
    return rows


def _first(connection: Connection, *conditions: ColumnElement[bool]) -> OrderView | None:
    query = _with_lines(select(*_ORDER).where(*conditions))
    return next(_orders(connection.execute(query).mappings()), None)


def _with_lines(orders: Select[Any]) -> Select[Any]:
    """Return the query of orders and their lines: one statement, so one snapshot."""
    page = orders.subquery()
    return (
        select(page, *(column.label(f"line_{column.key}") for column in _LINE))
        .outerjoin(OrderLine, OrderLine.order_pk == page.c.id)
        .order_by(page.c.id.desc(), OrderLine.product_id)
    )


def _orders(rows: Iterable[RowMapping]) -> Iterator[OrderView]:
    """Assemble orders from the rows of `_with_lines`."""
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
