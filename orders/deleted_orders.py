"""Orders that were deleted before inventory or billing had confirmed their end.

No query returns such an order, but its confirmations are still awaited: otherwise a lost
`order.cancelled` or `order.completed` would leave its stock reserved, or its bill valid, for ever.
The order is kept, with the data of its events, until everything is confirmed.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from chassis.json import encode
from chassis.schema.decoding import decode
from orders import queries
from orders.models import DeletedOrder
from orders.queries import OrderView
from orders.sweeping import needs
from orders.sweeping.needs import COUNT_LIMIT, Needs

_IN_DATA = ("customer_id", "total_amount", "reason", "items")
logger = logging.getLogger(__name__)


def keep(connection: Connection, order: OrderView) -> None:
    """Keep what an order that is about to be deleted waits for; nothing if all is confirmed.

    Args:
        connection: in the transaction that holds the order's lock and deletes it.
        order: its current state.
    """
    owed = needs.of_order(connection, order["id"])
    if not (owed.stock or owed.bill):
        return
    row = {
        "uid": order["uid"],
        "order_pk": order["id"],
        "order_id": order["order_id"],
        "status": order["status"],
        "data": encode({name: order[name] for name in _IN_DATA}),
        "stock_owed": owed.stock,
        "bill_owed": owed.bill,
        "request_id": queries.history(connection, order["id"])[0]["message_id"],
        "deleted_at": func.clock_timestamp(),
        "sweep_at": func.clock_timestamp(),
    }
    connection.execute(insert(DeletedOrder).values(**row))
    extra = {"order_id": order["order_id"], "uid": str(order["uid"])}
    logger.info("deleted order waits for its confirmation", extra=extra)


def lock(connection: Connection, uids: Collection[UUID]) -> None:
    """Lock those of the orders that are kept, by ascending uid."""
    rows = select(DeletedOrder.uid).where(DeletedOrder.uid.in_(set(uids)))
    connection.execute(rows.order_by(DeletedOrder.uid).with_for_update())


def confirm(connection: Connection, uid: UUID, status: str, owed: str) -> bool:
    """Record a confirmation, and drop the order if it was the last.

    Args:
        connection: in a transaction.
        uid: the order.
        status: the state in which the order waits for it.
        owed: `stock_owed` or `bill_owed`.

    Returns:
        Whether the order is kept and has waited for it.
    """
    own = (DeletedOrder.uid == uid, DeletedOrder.status == status)
    other = "bill_owed" if owed == "stock_owed" else "stock_owed"
    waits, waits_for_more = (getattr(DeletedOrder, name) for name in (owed, other))
    last = delete(DeletedOrder).where(*own, waits, waits_for_more.is_(False))
    if connection.execute(last).rowcount:
        return True
    values = {owed: False, "resends": 0, "sweep_at": func.clock_timestamp()}
    return connection.execute(update(DeletedOrder).where(*own, waits).values(values)).rowcount > 0


def due(
    connection: Connection, older_than: timedelta, limit: int
) -> Sequence[tuple[OrderView, Needs, str | None]]:
    """Return, and lock, the orders that are due, each with what it waits for and its request id."""
    query = (
        select(DeletedOrder.__table__)
        .where(DeletedOrder.sweep_at <= func.now() - older_than)
        .order_by(DeletedOrder.sweep_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [
        (_order(row), _needs(row), row["request_id"])
        for row in connection.execute(query).mappings()
    ]


def stuck(
    connection: Connection, status: str | None, limit: int
) -> Sequence[tuple[RowMapping, Needs]]:
    """Return up to `limit` rows that wait although a request was sent again, newest first."""
    query = select(DeletedOrder.__table__).where(DeletedOrder.resends > 0)
    if status is not None:
        query = query.where(DeletedOrder.status == status)
    rows = connection.execute(query.order_by(DeletedOrder.order_pk.desc()).limit(limit))
    return [(row, _needs(row)) for row in rows.mappings()]


def count_stuck(connection: Connection) -> int:
    """Count them, up to `COUNT_LIMIT`."""
    some = select(DeletedOrder.uid).where(DeletedOrder.resends > 0).limit(COUNT_LIMIT).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def _order(row: RowMapping) -> OrderView:
    data: dict[str, Any] = decode(bytes(row["data"]))
    known = {name: row[name] for name in ("uid", "order_id", "status")}
    return {**data, **known, "id": row["order_pk"]}


def _needs(row: RowMapping) -> Needs:
    return Needs(
        order_pk=row["order_pk"],
        uid=str(row["uid"]),
        resends=row["resends"],
        step=False,
        stock=row["stock_owed"],
        bill=row["bill_owed"],
    )
