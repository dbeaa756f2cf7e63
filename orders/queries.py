"""Queries of orders, with their items, and of their history."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, TypedDict, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, Uuid, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.errors import found
from chassis.storage.idempotency_keys import RETENTION
from chassis.storage.prepared import PreparedQuery
from chassis.storage.rows import rows, streamed
from orders.models import order_history, order_lines, orders


class Item(TypedDict):
    """A line of an order."""

    product_id: int
    name: str
    quantity: int
    unit_price: Decimal


class OrderFacts(TypedDict):
    """What events and messages say of an order."""

    id: int
    uid: UUID
    order_id: str
    customer_id: str
    status: str
    total_amount: Decimal
    reason: str | None
    items: list[Item]


class OrderView(OrderFacts):
    """An order: its columns that the API shows, its `uid`, and its lines as `items`."""

    created_at: datetime
    updated_at: datetime


class SagaOrder(OrderView):
    """An order with the times of its confirmations; None for those that have not come."""

    stock_freed_at: datetime | None
    stock_sold_at: datetime | None
    bill_voided_at: datetime | None


class StatusChange(TypedDict):
    """A change of an order's state."""

    from_status: str | None
    to_status: str
    at: datetime
    cause: str
    message_id: str | None


ORDER_NAMES = (
    *("id", "uid", "order_id", "customer_id", "status", "total_amount"),
    *("created_at", "updated_at", "reason"),
)
"""In the order of the answer's members."""
_ORDER = tuple(orders.c[ORDER_NAMES])
_SAGA_NAMES = (*ORDER_NAMES, "stock_freed_at", "stock_sold_at", "bill_voided_at")
_Line = dict[str, Any]
"""A row of `_with_lines`: an order, and one of its lines."""
_FETCH_SIZE = 200  # lines at a time, of up to 1 KiB
_LINE = tuple(order_lines.c[tuple(Item.__annotations__)])
_CHANGE = tuple(order_history.c[tuple(StatusChange.__annotations__)])


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
    given = {
        orders.c.status: status,
        orders.c.customer_id: customer_id,
        orders.c.order_id: order_id,
    }
    chosen: list[ColumnElement[bool]] = [
        column == value for column, value in given.items() if value is not None
    ]
    if since is not None:
        chosen.append(orders.c.created_at >= since)
    if until is not None:
        chosen.append(orders.c.created_at < until)
    if after is not None:
        chosen.append(orders.c.id < after)
    page = select(*_ORDER).where(*chosen).order_by(orders.c.id.desc()).limit(limit)
    with streamed(connection, _with_lines(page), _FETCH_SIZE, _Line) as lines:
        yield _orders(lines)


def get(connection: Connection, order_pk: int) -> OrderView:
    """Return one order.

    Raises:
        NotFoundError: no order has this id.
    """
    return found(_first(connection, orders.c.id == order_pk), "order", order_pk)


def get_by_order_id(connection: Connection, order_id: str) -> OrderView:
    """Return the order with this `order_id`.

    Raises:
        NotFoundError: there is none.
    """
    return found(_first(connection, orders.c.order_id == order_id), "order", order_id, "order_id")


def of_request(connection: Connection, request_key: UUID) -> OrderView | None:
    """Return the order that a request with this key has made, unless the key has expired."""
    is_valid = orders.c.created_at >= func.now() - RETENTION
    return _first(connection, orders.c.request_key == request_key, is_valid)


def locked(connection: Connection, order_pk: int) -> OrderView:
    """Return one order, locked until the transaction ends.

    Raises:
        NotFoundError: no order has this id.
    """
    connection.execute(select(orders.c.id).where(orders.c.id == order_pk).with_for_update())
    return get(connection, order_pk)


def lock_by_uid(connection: Connection, uids: Iterable[UUID]) -> set[UUID]:
    """Lock the orders that exist, by ascending id, and return which they are."""
    return {row["uid"] for row in _LOCK.rows(connection, uids=list(set(uids)))}


def by_uid(connection: Connection, uids: Iterable[UUID]) -> list[SagaOrder]:
    """Return those of the orders that exist."""
    found = _orders(_BY_UID.rows(connection, uids=list(set(uids))), _SAGA_NAMES)
    return [cast(SagaOrder, order) for order in found]


def history(connection: Connection, order_pk: int) -> list[StatusChange]:
    """Return the changes of an order's state, the oldest first.

    Raises:
        NotFoundError: there is no order with this id.
    """
    changes = (
        select(*_CHANGE).where(order_history.c.order_pk == order_pk).order_by(order_history.c.id)
    )
    found = rows(connection, changes, StatusChange)
    if not found:
        get(connection, order_pk)
    return found


def _first(connection: Connection, *conditions: ColumnElement[bool]) -> OrderView | None:
    query = _with_lines(select(*_ORDER).where(*conditions))
    return next(_orders(rows(connection, query, _Line)), None)


def _with_lines(chosen: Select[Any]) -> Select[Any]:
    """Return the query of orders and their lines: one statement, so one snapshot."""
    page = chosen.subquery()
    return (
        select(page, *(column.label(f"line_{column.key}") for column in _LINE))
        .outerjoin(order_lines, order_lines.c.order_pk == page.c.id)
        .order_by(page.c.id.desc(), order_lines.c.product_id)
    )


def _orders(rows: Iterable[_Line], names: Sequence[str] = ORDER_NAMES) -> Iterator[OrderView]:
    """Assemble orders from the rows of `_with_lines`."""
    for _id, lines in groupby(rows, lambda row: row["id"]):
        group = list(lines)
        order = {name: group[0][name] for name in names}
        yield cast(OrderView, {**order, "items": _items(group)})


def _items(rows: Iterable[_Line]) -> list[Item]:
    return [
        cast(Item, {name: row[f"line_{name}"] for name in Item.__annotations__})
        for row in rows
        if row["line_product_id"] is not None
    ]


_NAMED = orders.c.uid == any_(bindparam("uids", type_=ARRAY(Uuid)))
_LOCK: PreparedQuery[_Line] = PreparedQuery(
    "lock_orders", select(orders.c.uid).where(_NAMED).order_by(orders.c.id).with_for_update()
)
_BY_UID: PreparedQuery[_Line] = PreparedQuery(
    "orders_by_uid", _with_lines(select(*orders.c[_SAGA_NAMES]).where(_NAMED))
)
