"""The rows of reservations: locked, read and written for many orders at a time."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

from sqlalchemy import (
    BIGINT,
    ColumnElement,
    Connection,
    Integer,
    Uuid,
    any_,
    bindparam,
    func,
    insert,
    select,
    text,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY

from inventory.models import Shortage, products, reservation_lines, reservations

_ORDERS = 1262572883  # the class of orders' advisory locks; the second key is a part of the uid


class Available(NamedTuple):
    """A product's name, and the quantity in stock."""

    name: str
    quantity: int


class Line(TypedDict):
    """The quantity of a product that an order has reserved."""

    product_id: int
    quantity: int


@dataclass
class Reservation:
    """The state of an order's stock, and how it differs from its row.

    Attributes:
        uid: the order.
        order_id: its id for people.
        state: see `inventory.models.reservations`.
        short: the shortages of a rejected one.
        cancelled: whether the order's cancellation has arrived.
        lines: the quantity of each product that it took, by product id.
        is_new: whether it has no row yet.
        is_changed: whether its row is to be written.
        is_ended: whether it has left the state `reserved`.
    """

    uid: UUID
    order_id: str
    state: str
    short: Sequence[Shortage] | None = None
    cancelled: bool = False
    lines: Mapping[int, int] = field(default_factory=dict)
    is_new: bool = False
    is_changed: bool = False
    is_ended: bool = False

    def end(self, state: str) -> None:
        """Leave the state `reserved`."""
        self.state, self.is_changed, self.is_ended = state, True, True

    def mark_cancelled(self) -> None:
        """Note that the order's cancellation has arrived."""
        self.cancelled, self.is_changed = True, True

    def sorted_lines(self) -> list[Line]:
        """Return the lines by product id."""
        return lines_of(dict(sorted(self.lines.items())))


def lines_of(quantities: Mapping[int, int]) -> list[Line]:
    """Return quantities by product id as lines, in their order."""
    return [Line(product_id=id, quantity=quantity) for id, quantity in quantities.items()]


def _any(name: str, type_: Any) -> ColumnElement[Any]:
    return any_(bindparam(name, type_=ARRAY(type_)))


_RESERVATIONS = select(*reservations.c["uid", "order_id", "state", "short", "cancelled"]).where(
    reservations.c.uid == _any("uids", Uuid)
)
_LINES = select(*reservation_lines.c["uid", "product_id", "quantity"]).where(
    reservation_lines.c.uid == _any("uids", Uuid)
)
_PRODUCTS = (
    select(products.c.id, products.c.name, products.c.stock)
    .where(products.c.id == _any("ids", BIGINT))
    .order_by(products.c.id)
    .with_for_update()
)
_CHANGE = text(
    """
    UPDATE reservations SET
        state = new.state,
        cancelled = new.cancelled,
        updated_at = CASE WHEN new.ended THEN now() ELSE reservations.updated_at END
    FROM unnest(
        CAST(:uid AS uuid[]), CAST(:state AS text[]), CAST(:cancelled AS boolean[]),
        CAST(:ended AS boolean[])
    ) AS new (uid, state, cancelled, ended)
    WHERE reservations.uid = new.uid
    """
)
_SET_STOCK = text(
    """
    UPDATE products SET stock = new.stock
    FROM unnest(CAST(:id AS bigint[]), CAST(:stock AS integer[])) AS new (id, stock)
    WHERE products.id = new.id
    """
)


def lock(
    connection: Connection,
    uids: Collection[UUID],
    released: Collection[UUID],
    product_ids: Collection[int],
) -> None:
    """Lock orders, then the products whose stock they may change, each in a fixed order.

    This prevents deadlocks; call it once, first in each transaction.

    Args:
        connection: in a transaction, which holds the locks until its end.
        uids: the orders; one without a row yet is locked, too.
        released: those that may give stock back: by the reservation's lines, whatever the
            cancellation says.
        product_ids: the products that may be reserved.
    """
    if not uids:
        return
    # a part of the uid: two orders may share it, and then wait needlessly
    keys = sorted({uid.int % 2**31 for uid in uids})
    key = func.unnest(sql_cast(keys, ARRAY(Integer))).column_valued("key")
    connection.execute(select(func.pg_advisory_xact_lock(_ORDERS, key)))
    ids = set(product_ids)
    if released:
        ids |= {row.product_id for row in connection.execute(_LINES, {"uids": list(released)})}
    if ids:
        connection.execute(_PRODUCTS, {"ids": list(ids)})


def read(connection: Connection, uids: Iterable[UUID]) -> dict[UUID, Reservation]:
    """Return those reservations of orders, which are locked, that exist."""
    rows = connection.execute(_RESERVATIONS, {"uids": list(set(uids))})
    found = {row.uid: Reservation(*row) for row in rows}
    if found:
        for row in connection.execute(_LINES, {"uids": list(found)}):
            one = found[row.uid]
            one.lines = {**one.lines, row.product_id: row.quantity}
    return found


def read_stock(connection: Connection, product_ids: Collection[int]) -> dict[int, Available]:
    """Return those of the products that exist, by id; they stay locked."""
    if not product_ids:
        return {}
    rows = connection.execute(_PRODUCTS, {"ids": list(product_ids)})
    return {row.id: Available(row.name, row.stock) for row in rows}


def write(connection: Connection, changed: Iterable[Reservation], stock: Mapping[int, int]) -> None:
    """Write reservations, and the stock of products by their ids."""
    some = list(changed)
    new = [one for one in some if one.is_new]
    if new:
        connection.execute(insert(reservations), [_row(one) for one in new])
    lines = [{"uid": one.uid, **line} for one in new for line in lines_of(one.lines)]
    if lines:
        connection.execute(insert(reservation_lines), lines)
    old = [one for one in some if not one.is_new]
    if old:
        connection.execute(_CHANGE, _columns(old))
    if stock:
        connection.execute(_SET_STOCK, {"id": list(stock), "stock": list(stock.values())})


def _row(one: Reservation) -> dict[str, Any]:
    return {
        "uid": one.uid,
        "order_id": one.order_id,
        "state": one.state,
        "short": one.short,
        "cancelled": one.cancelled,
    }


def _columns(some: Sequence[Reservation]) -> dict[str, list[Any]]:
    return {
        "uid": [str(one.uid) for one in some],
        "state": [one.state for one in some],
        "cancelled": [one.cancelled for one in some],
        "ended": [one.is_ended for one in some],
    }
