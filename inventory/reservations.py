"""The rows of reservations: locked, read and written for many orders at a time."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

from sqlalchemy import Connection

from chassis.json import encode
from chassis.storage.prepared import PreparedStatement
from inventory.models import Shortage


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


# the class of orders' advisory locks; the second key is a part of the uid
_LOCK = PreparedStatement(
    "lock_orders",
    "SELECT pg_advisory_xact_lock(1262572883, key) FROM unnest(CAST(:keys AS integer[])) AS key",
)
_RESERVATIONS = PreparedStatement(
    "reservations",
    """
    SELECT uid, order_id, state, short, cancelled FROM reservations
    WHERE uid = ANY (CAST(:uids AS uuid[]))
    """,
)
_LINES = PreparedStatement(
    "reservation_lines",
    """
    SELECT uid, product_id, quantity FROM reservation_lines
    WHERE uid = ANY (CAST(:uids AS uuid[]))
    """,
)
_PRODUCTS = PreparedStatement(
    "lock_products",
    """
    SELECT id, name, stock FROM products WHERE id = ANY (CAST(:ids AS bigint[]))
    ORDER BY id FOR UPDATE
    """,
)
_INSERT = PreparedStatement(
    "reserve",
    """
    INSERT INTO reservations (uid, order_id, state, short, cancelled)
    SELECT * FROM unnest(
        CAST(:uid AS uuid[]), CAST(:order_id AS text[]), CAST(:state AS text[]),
        CAST(:short AS jsonb[]), CAST(:cancelled AS boolean[])
    )
    """,
)
_INSERT_LINES = PreparedStatement(
    "reserve_lines",
    """
    INSERT INTO reservation_lines (uid, product_id, quantity)
    SELECT * FROM unnest(
        CAST(:uid AS uuid[]), CAST(:product_id AS bigint[]), CAST(:quantity AS integer[])
    )
    """,
)
_CHANGE = PreparedStatement(
    "change_reservations",
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
    """,
)
_SET_STOCK = PreparedStatement(
    "set_stock",
    """
    UPDATE products SET stock = new.stock
    FROM unnest(CAST(:id AS bigint[]), CAST(:stock AS integer[])) AS new (id, stock)
    WHERE products.id = new.id
    """,
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
    _LOCK.execute(connection, {"keys": keys})
    ids = set(product_ids)
    if released:
        lines = _LINES.execute(connection, {"uids": list(released)})
        ids |= {product_id for _uid, product_id, _quantity in lines}
    if ids:
        _PRODUCTS.execute(connection, {"ids": list(ids)})


def read(connection: Connection, uids: Iterable[UUID]) -> dict[UUID, Reservation]:
    """Return those reservations of orders, which are locked, that exist."""
    rows = _RESERVATIONS.execute(connection, {"uids": list(set(uids))})
    found = {row[0]: Reservation(*row) for row in rows}
    if found:
        for uid, product_id, quantity in _LINES.execute(connection, {"uids": list(found)}):
            found[uid].lines = {**found[uid].lines, product_id: quantity}
    return found


def read_stock(connection: Connection, product_ids: Collection[int]) -> dict[int, Available]:
    """Return those of the products that exist, by id; they stay locked."""
    if not product_ids:
        return {}
    rows = _PRODUCTS.execute(connection, {"ids": list(product_ids)})
    return {id: Available(name, stock) for id, name, stock in rows}


def write(connection: Connection, changed: Iterable[Reservation], stock: Mapping[int, int]) -> None:
    """Write reservations, and the stock of products by their ids."""
    some = list(changed)
    new = [one for one in some if one.is_new]
    if new:
        _INSERT.execute(connection, _columns(new))
    lines = [(one.uid, id, quantity) for one in new for id, quantity in one.lines.items()]
    if lines:
        uids, ids, quantities = map(list, zip(*lines, strict=True))
        _INSERT_LINES.execute(connection, {"uid": uids, "product_id": ids, "quantity": quantities})
    old = [one for one in some if not one.is_new]
    if old:
        _CHANGE.execute(connection, _columns(old))
    if stock:
        _SET_STOCK.execute(connection, {"id": list(stock), "stock": list(stock.values())})


def _columns(some: Sequence[Reservation]) -> dict[str, list[Any]]:
    return {
        "uid": [one.uid for one in some],
        "order_id": [one.order_id for one in some],
        "state": [one.state for one in some],
        "short": [None if one.short is None else encode(one.short).decode() for one in some],
        "cancelled": [one.cancelled for one in some],
        "ended": [one.is_ended for one in some],
    }
