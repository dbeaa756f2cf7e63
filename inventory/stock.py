"""Stock for orders: reserved for all lines of an order or none, and given back once.

An order is known by its uid, and by what became of it in `reservations`, so that an event that
comes again, late or before the one it follows does no harm. Knows neither the broker nor its
messages.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BIGINT, ColumnElement, Connection, Integer, any_, func, select, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY, insert

from chassis.schema.fields import MAX_INTEGER
from chassis.storage.retention import Expiry
from inventory.events import CONSUMER, announce
from inventory.models import Product, Reservation, ReservationLine
from inventory.settings import Retention

_ORDERS = 1262572883  # the advisory locks of orders, next to which are their uids
_NAMED = 5  # short lines that a reason names
Short = dict[str, Any]
logger = logging.getLogger(__name__)


def lock(connection: Connection, uids: Collection[UUID], product_ids: Collection[int]) -> None:
    """Lock orders, and then all products that they are about, each in one order.

    So that no two transactions wait for each other; to be called once, first in each.

    Args:
        connection: in a transaction, which keeps the locks until its end.
        uids: the orders; one that is not there yet is locked, too.
        product_ids: the products that they may reserve.
    """
    if not uids:
        return
    _lock_orders(connection, uids)
    # what is given back is what was reserved, whatever the cancellation says
    lines = select(ReservationLine.product_id).where(ReservationLine.uid.in_(uids))
    ids = [*product_ids, *connection.execute(lines).scalars()]
    in_order = select(Product.id).where(Product.id == _any(ids)).order_by(Product.id)
    connection.execute(in_order.with_for_update())


def _lock_orders(connection: Connection, uids: Collection[UUID]) -> None:
    """Lock orders by a part of their uids; two that have it in common wait without need."""
    keys = sorted({uid.int % 2**31 for uid in uids})
    key = func.unnest(sql_cast(keys, ARRAY(Integer))).column_valued("key")
    connection.execute(select(func.pg_advisory_xact_lock(_ORDERS, key)))


def reserve(
    connection: Connection, uid: UUID, order_id: str, quantities: Mapping[int, int]
) -> None:
    """Reserve stock for an order, or reject it.

    An order that was dealt with before gets the same answer again: orders asks again when the first
    one was lost. A cancelled one gets none.

    Args:
        connection: in a transaction that has locked the order and its products.
        uid: the order.
        order_id: how people call it.
        quantities: how many of each product, by its id.
    """
    short = _short(connection, quantities)
    state = "rejected" if short else "reserved"
    if not _note(connection, uid, order_id, state=state, short=short or None):
        _answer_again(connection, uid, order_id)
    elif short:
        _announce_rejection(connection, uid, order_id, short)
    else:
        lines = [{"product_id": id, "quantity": quantity} for id, quantity in quantities.items()]
        connection.execute(insert(ReservationLine), [{"uid": uid, **line} for line in lines])
        _move(connection, uid, Product.stock - ReservationLine.quantity)
        _announce(connection, uid, order_id, "stock.reserved", lines=lines)


def _answer_again(connection: Connection, uid: UUID, order_id: str) -> None:
    query = select(Reservation.state, Reservation.short).where(Reservation.uid == uid)
    state, short = connection.execute(query).one()
    if state == "reserved":
        _announce(connection, uid, order_id, "stock.reserved", lines=_lines(connection, uid))
    elif state == "rejected":
        _announce_rejection(connection, uid, order_id, short or [])
    else:
        logger.info("nothing left to reserve", extra={"uid": str(uid), "order_id": order_id})


def _announce_rejection(
    connection: Connection, uid: UUID, order_id: str, short: Sequence[Short]
) -> None:
    _announce(connection, uid, order_id, "stock.rejected", reason=_reason(short), short=short)


def release(connection: Connection, uid: UUID, order_id: str) -> None:
    """Give an order's stock back, if it has some; if it comes later, it shall reserve nothing.

    A product that is deleted by now gets nothing back. If the cancellation comes again, so does
    `stock.released`, without lines for an order that had no stock.

    Args:
        connection: in a transaction that has locked the order and its products.
        uid: the order.
        order_id: how people call it.
    """
    if _was_reserved(connection, uid):
        # no more than an integer holds: no order is worth a message that can't be applied
        sum_ = sql_cast(Product.stock, BIGINT) + ReservationLine.quantity
        _move(connection, uid, func.least(sum_, MAX_INTEGER))
        _announce(connection, uid, order_id, "stock.released", lines=_lines(connection, uid))
    elif _is_first_cancellation(connection, uid, order_id):
        logger.info("nothing to release", extra={"uid": str(uid), "order_id": order_id})
    else:
        _announce(connection, uid, order_id, "stock.released", lines=_lines(connection, uid))


def complete(connection: Connection, uid: UUID, order_id: str) -> None:
    """Note that an order is completed, and announce that what it has reserved is sold.

    The announcement is repeated with each repetition of the completion. It has no lines for an
    order without a reservation: it may have been purged, and holds no stock in any case.

    Args:
        connection: in a transaction that has locked the order.
        uid: the order.
        order_id: how people call it.
    """
    reserved = update(Reservation).where(Reservation.uid == uid, Reservation.state == "reserved")
    connection.execute(reserved.values(state="completed", updated_at=func.now()))
    query = select(Reservation.state).where(Reservation.uid == uid)
    state = connection.execute(query).scalar()
    if state != "completed":
        extra = {"uid": str(uid), "order_id": order_id, "state": state}
        logger.warning("a completed order has no stock", extra=extra)
    lines = _lines(connection, uid) if state == "completed" else []
    _announce(connection, uid, order_id, "stock.sold", lines=lines)


def expiries(settings: Retention) -> list[Expiry]:
    """Return what need no longer be known of orders; what is reserved stays until they end."""
    ended = "state IN ('rejected', 'released', 'completed')"
    kept = {
        ended: settings.reservations_kept_days,
        "state = 'cancelled'": settings.cancellations_kept_days,
    }
    return [
        Expiry("reservations", "updated_at", timedelta(days=days), condition)
        for condition, days in kept.items()
    ]


def _short(connection: Connection, quantities: Mapping[int, int]) -> list[Short]:
    query = select(Product.id, Product.name, Product.stock).where(Product.id == _any(quantities))
    found = {row.id: row for row in connection.execute(query)}
    lines = [(id, found.get(id), asked) for id, asked in quantities.items()]
    return [
        {
            "product_id": id,
            "name": product.name if product else None,
            "asked": asked,
            "available": product.stock if product else 0,
        }
        for id, product, asked in lines
        if product is None or product.stock < asked
    ]


def _reason(short: Sequence[Short]) -> str:
    named = [
        f"product {line['product_id']} does not exist"
        if line["name"] is None
        else f"{line['asked']} of {line['name']} asked, {line['available']} available"
        for line in short[:_NAMED]
    ]
    more = [f"{len(short) - _NAMED} more"] if len(short) > _NAMED else []
    return ": ".join(filter(None, ["not enough in stock", "; ".join(named + more)]))


def _note(connection: Connection, uid: UUID, order_id: str, **values: Any) -> bool:
    """Note what becomes of an order; False if that was noted before."""
    row = insert(Reservation).values(uid=uid, order_id=order_id, **values)
    statement = row.on_conflict_do_nothing().returning(Reservation.uid)
    return connection.execute(statement).first() is not None


def _is_first_cancellation(connection: Connection, uid: UUID, order_id: str) -> bool:
    """Note the cancellation of an order without stock; False if that was noted before."""
    if _note(connection, uid, order_id, state="cancelled", cancelled=True):
        return True
    first = update(Reservation).where(Reservation.uid == uid, Reservation.cancelled.is_(False))
    return connection.execute(first.values(cancelled=True)).rowcount > 0


def _was_reserved(connection: Connection, uid: UUID) -> bool:
    """Note that an order is released, if it has stock."""
    statement = (
        update(Reservation)
        .where(Reservation.uid == uid, Reservation.state == "reserved")
        .values(state="released", cancelled=True, updated_at=func.now())
    )
    return connection.execute(statement).rowcount > 0


def _move(connection: Connection, uid: UUID, stock: ColumnElement[int]) -> None:
    lines = (ReservationLine.uid == uid, ReservationLine.product_id == Product.id)
    connection.execute(update(Product).where(*lines).values(stock=stock))


def _lines(connection: Connection, uid: UUID) -> list[dict[str, int]]:
    query = select(ReservationLine.product_id, ReservationLine.quantity)
    rows = query.where(ReservationLine.uid == uid).order_by(ReservationLine.product_id)
    return [dict(row) for row in connection.execute(rows).mappings()]


def _announce(
    connection: Connection, uid: UUID, order_id: str, event_type: str, **data: object
) -> None:
    about = {"uid": uid, "order_id": order_id, **data}
    logged = {name: about[name] for name in ("order_id", "reason") if name in about}
    announce(connection, event_type, about, f"order/{uid}", CONSUMER, **logged)


def _any(ids: Collection[int]) -> ColumnElement[Any]:
    return any_(sql_cast(list(ids), ARRAY(BIGINT)))
