"""Stock for orders: reserved for all lines of an order or none, and released once.

`reservations` holds the state of each order by its uid, so that events that are repeated, late or
out of order do no harm. Knows neither the broker nor its messages.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

from sqlalchemy import BIGINT, ColumnElement, Connection, Integer, any_, func, select, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY, insert

from chassis.schema.fields import MAX_INTEGER
from chassis.storage import after_commit
from chassis.storage.retention import Expiry
from chassis.storage.rows import rows
from inventory.events import CONSUMER, announce
from inventory.models import Shortage, products, reservation_lines, reservations
from inventory.settings import Retention

_ORDERS = 1262572883  # the class of orders' advisory locks; the second key is a part of the uid
_NAMED = 5  # shortages that a reason names
logger = logging.getLogger(__name__)


class Available(NamedTuple):
    """A product's name, and the quantity in stock."""

    name: str
    quantity: int


def shortages(stock: Mapping[int, Available], asked: Mapping[int, int]) -> list[Shortage]:
    """Return the products that are requested in larger quantities than are in stock.

    Args:
        stock: the products that exist, by their ids.
        asked: the quantity of each product that an order asks for, by its id.
    """
    lines = [(id, stock.get(id), quantity) for id, quantity in asked.items()]
    return [
        Shortage(
            product_id=id,
            name=product.name if product else None,
            asked=quantity,
            available=product.quantity if product else 0,
        )
        for id, product, quantity in lines
        if product is None or product.quantity < quantity
    ]


def rejection_reason(short: Sequence[Shortage]) -> str:
    """Return a sentence for people about shortages; it names the first five."""
    named = [
        f"product {line['product_id']} does not exist"
        if line["name"] is None
        else f"{line['asked']} of {line['name']} asked, {line['available']} available"
        for line in short[:_NAMED]
    ]
    more = [f"{len(short) - _NAMED} more"] if len(short) > _NAMED else []
    return ": ".join(filter(None, ["not enough in stock", "; ".join(named + more)]))


def lock(connection: Connection, uids: Collection[UUID], product_ids: Collection[int]) -> None:
    """Lock orders, then all of their products, each in a fixed order.

    This prevents deadlocks; call it once, first in each transaction.

    Args:
        connection: in a transaction, which holds the locks until its end.
        uids: the orders; one without a row yet is locked, too.
        product_ids: the products that they may reserve.
    """
    if not uids:
        return
    _lock_orders(connection, uids)
    # stock is released by the reservation's lines, whatever the cancellation says
    lines = select(reservation_lines.c.product_id).where(reservation_lines.c.uid.in_(uids))
    ids = [*product_ids, *connection.execute(lines).scalars()]
    in_order = select(products.c.id).where(products.c.id == _any(ids)).order_by(products.c.id)
    connection.execute(in_order.with_for_update())


def _lock_orders(connection: Connection, uids: Collection[UUID]) -> None:
    """Lock orders by a part of their uids; two orders may share it, and then wait needlessly."""
    keys = sorted({uid.int % 2**31 for uid in uids})
    key = func.unnest(sql_cast(keys, ARRAY(Integer))).column_valued("key")
    connection.execute(select(func.pg_advisory_xact_lock(_ORDERS, key)))


def reserve(
    connection: Connection, uid: UUID, order_id: str, quantities: Mapping[int, int]
) -> None:
    """Reserve stock for an order, or reject it.

    A repeated request gets the same answer again: orders repeats it if the first answer was lost. A
    cancelled order gets none.

    Args:
        connection: in a transaction that has locked the order and its products.
        uid: the order.
        order_id: its id for people.
        quantities: the quantity of each product, by its id.
    """
    short = shortages(_stock_of(connection, quantities), quantities)
    state = "rejected" if short else "reserved"
    if not _insert_once(connection, uid, order_id, state=state, short=short or None):
        _answer_again(connection, uid, order_id)
    elif short:
        _announce_rejection(connection, uid, order_id, short)
    else:
        lines = [{"product_id": id, "quantity": quantity} for id, quantity in quantities.items()]
        connection.execute(insert(reservation_lines), [{"uid": uid, **line} for line in lines])
        _set_stock(connection, uid, products.c.stock - reservation_lines.c.quantity)
        _announce(connection, uid, order_id, "stock.reserved", lines=lines)


def _answer_again(connection: Connection, uid: UUID, order_id: str) -> None:
    query = select(reservations.c.state, reservations.c.short).where(reservations.c.uid == uid)
    state, short = connection.execute(query).one()
    if state == "reserved":
        _announce(connection, uid, order_id, "stock.reserved", lines=_lines(connection, uid))
    elif state == "rejected":
        _announce_rejection(connection, uid, order_id, short or [])
    else:
        extra = {"uid": str(uid), "order_id": order_id}
        after_commit.log(connection, logger, "nothing left to reserve", extra)


def _announce_rejection(
    connection: Connection, uid: UUID, order_id: str, short: Sequence[Shortage]
) -> None:
    reason = rejection_reason(short)
    _announce(connection, uid, order_id, "stock.rejected", reason=reason, short=short)


def release(connection: Connection, uid: UUID, order_id: str) -> None:
    """Release an order's stock, if it has any; an order that arrives later reserves none.

    A deleted product gets nothing back. A repeated cancellation repeats `stock.released`, without
    lines for an order that had no stock.

    Args:
        connection: in a transaction that has locked the order and its products.
        uid: the order.
        order_id: its id for people.
    """
    if _end(connection, uid, state="released", cancelled=True):
        # capped at the largest integer, so that the message can always be applied
        sum_ = sql_cast(products.c.stock, BIGINT) + reservation_lines.c.quantity
        _set_stock(connection, uid, func.least(sum_, MAX_INTEGER))
        _announce(connection, uid, order_id, "stock.released", lines=_lines(connection, uid))
    elif _mark_cancelled(connection, uid, order_id):
        extra = {"uid": str(uid), "order_id": order_id}
        after_commit.log(connection, logger, "nothing to release", extra)
    else:
        _announce(connection, uid, order_id, "stock.released", lines=_lines(connection, uid))


def complete(connection: Connection, uid: UUID, order_id: str) -> None:
    """Mark an order as completed, and announce that its stock is sold.

    A repeated completion repeats the announcement. It has no lines for an order without a
    reservation, which may have been purged and holds no stock in any case.

    Args:
        connection: in a transaction that has locked the order.
        uid: the order.
        order_id: its id for people.
    """
    _end(connection, uid, state="completed")
    query = select(reservations.c.state).where(reservations.c.uid == uid)
    state = connection.execute(query).scalar()
    if state != "completed":
        extra = {"uid": str(uid), "order_id": order_id, "state": state}
        said = "a completed order has no stock"
        after_commit.log(connection, logger, said, extra, logging.WARNING)
    lines = _lines(connection, uid) if state == "completed" else []
    _announce(connection, uid, order_id, "stock.sold", lines=lines)


def expiries(settings: Retention) -> list[Expiry]:
    """Return the conditions for expired reservations; a reserved one stays until its order ends."""
    ended = "state IN ('rejected', 'released', 'completed')"
    kept = {
        ended: settings.reservations_kept_days,
        "state = 'cancelled'": settings.cancellations_kept_days,
    }
    return [
        Expiry("reservations", "updated_at", timedelta(days=days), condition)
        for condition, days in kept.items()
    ]


def _stock_of(connection: Connection, product_ids: Collection[int]) -> dict[int, Available]:
    query = select(products.c.id, products.c.name, products.c.stock).where(
        products.c.id == _any(product_ids)
    )
    return {row.id: Available(row.name, row.stock) for row in connection.execute(query)}


def _insert_once(connection: Connection, uid: UUID, order_id: str, **values: Any) -> bool:
    """Insert the reservation of an order; return False if it has one already."""
    row = insert(reservations).values(uid=uid, order_id=order_id, **values)
    statement = row.on_conflict_do_nothing().returning(reservations.c.uid)
    return connection.execute(statement).first() is not None


def _mark_cancelled(connection: Connection, uid: UUID, order_id: str) -> bool:
    """Mark an order without stock as cancelled; return False if it was already."""
    if _insert_once(connection, uid, order_id, state="cancelled", cancelled=True):
        return True
    first = update(reservations).where(
        reservations.c.uid == uid, reservations.c.cancelled.is_(False)
    )
    return connection.execute(first.values(cancelled=True)).rowcount > 0


def _end(connection: Connection, uid: UUID, **values: Any) -> bool:
    """Change a reservation in the state `reserved`; return whether there was one."""
    held = update(reservations).where(reservations.c.uid == uid, reservations.c.state == "reserved")
    return connection.execute(held.values(updated_at=func.now(), **values)).rowcount > 0


def _set_stock(connection: Connection, uid: UUID, stock: ColumnElement[int]) -> None:
    lines = (reservation_lines.c.uid == uid, reservation_lines.c.product_id == products.c.id)
    connection.execute(update(products).where(*lines).values(stock=stock))


class Line(TypedDict):
    """The quantity of a product that an order has reserved."""

    product_id: int
    quantity: int


def _lines(connection: Connection, uid: UUID) -> list[Line]:
    query = select(*reservation_lines.c["product_id", "quantity"])
    in_order = query.where(reservation_lines.c.uid == uid).order_by(reservation_lines.c.product_id)
    return rows(connection, in_order, Line)


def _announce(
    connection: Connection, uid: UUID, order_id: str, event_type: str, **data: object
) -> None:
    about = {"uid": uid, "order_id": order_id, **data}
    logged = {name: about[name] for name in ("order_id", "reason") if name in about}
    announce(connection, event_type, about, f"order/{uid}", CONSUMER, **logged)


def _any(ids: Collection[int]) -> ColumnElement[Any]:
    return any_(sql_cast(list(ids), ARRAY(BIGINT)))
