"""Orders that were deleted before inventory or billing had confirmed their end.

No query returns such an order, but its confirmations are still awaited: otherwise a lost
`order.cancelled` or `order.completed` would leave its stock reserved, or its bill valid, for ever.
The order is kept, with the data of its events, until everything is confirmed.
"""

import logging
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    Connection,
    Row,
    Update,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.json import encode
from chassis.schema.decoding import decode
from chassis.storage import after_commit
from orders import queries
from orders.models import deleted_orders
from orders.queries import OrderFacts, OrderView
from orders.sweeping import needs
from orders.sweeping.needs import COUNT_LIMIT, Needs

_IN_DATA = ("customer_id", "total_amount", "reason", "items")
_LOCK = (
    select(deleted_orders.c.uid)
    .where(deleted_orders.c.uid == any_(bindparam("uids", type_=ARRAY(Uuid))))
    .order_by(deleted_orders.c.uid)
    .with_for_update()
)
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
    facts: Mapping[str, object] = order
    row = {
        "uid": order["uid"],
        "order_pk": order["id"],
        "order_id": order["order_id"],
        "status": order["status"],
        "data": encode({name: facts[name] for name in _IN_DATA}),
        "stock_owed": owed.stock,
        "bill_owed": owed.bill,
        "request_id": queries.history(connection, order["id"])[0]["message_id"],
        "deleted_at": func.clock_timestamp(),
        "sweep_at": func.clock_timestamp(),
    }
    connection.execute(insert(deleted_orders).values(**row))
    extra = {"order_id": order["order_id"], "uid": str(order["uid"])}
    after_commit.log(connection, logger, "deleted order waits for its confirmation", extra)


def lock(connection: Connection, uids: Collection[UUID]) -> None:
    """Lock those of the orders that are kept, by ascending uid."""
    connection.execute(_LOCK, {"uids": list(set(uids))})


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
    own = (deleted_orders.c.uid == uid, deleted_orders.c.status == status)
    other = "bill_owed" if owed == "stock_owed" else "stock_owed"
    waits, waits_for_more = (deleted_orders.c[name] for name in (owed, other))
    last = delete(deleted_orders).where(*own, waits, waits_for_more.is_(False))
    if connection.execute(last).rowcount:
        return True
    values = {owed: False, "resends": 0, "sweep_at": func.clock_timestamp()}
    return connection.execute(update(deleted_orders).where(*own, waits).values(values)).rowcount > 0


def due(
    connection: Connection, older_than: timedelta, limit: int
) -> list[tuple[OrderFacts, Needs, str | None]]:
    """Return, and lock, the orders that are due, each with what it waits for and its request id."""
    query = (
        select(deleted_orders)
        .where(deleted_orders.c.sweep_at <= func.now() - older_than)
        .order_by(deleted_orders.c.sweep_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [(_order(row), _needs(row), row.request_id) for row in connection.execute(query)]


class StuckOrder(NamedTuple):
    """A deleted order that waits for a confirmation; `status` is the one that it had."""

    order_pk: int
    order_id: str
    status: str
    deleted_at: datetime
    needs: Needs


def stuck(connection: Connection, status: str | None, limit: int) -> list[StuckOrder]:
    """Return up to `limit` orders that wait although a request was sent again, newest first."""
    query = select(deleted_orders).where(deleted_orders.c.resends > 0)
    if status is not None:
        query = query.where(deleted_orders.c.status == status)
    rows = connection.execute(query.order_by(deleted_orders.c.order_pk.desc()).limit(limit))
    return [
        StuckOrder(row.order_pk, row.order_id, row.status, row.deleted_at, _needs(row))
        for row in rows
    ]


def change(uid: UUID) -> Update:
    """Return the statement that changes one of them, without its values."""
    return update(deleted_orders).where(deleted_orders.c.uid == uid)


def count_stuck(connection: Connection) -> int:
    """Count them, up to `COUNT_LIMIT`."""
    resent = select(deleted_orders.c.uid).where(deleted_orders.c.resends > 0)
    some = resent.limit(COUNT_LIMIT).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def _order(row: Row[Any]) -> OrderFacts:
    data: dict[str, Any] = decode(bytes(row.data))
    known = {"uid": row.uid, "order_id": row.order_id, "status": row.status}
    return cast(OrderFacts, {**data, **known, "id": row.order_pk})


def _needs(row: Row[Any]) -> Needs:
    return Needs(
        order_pk=row.order_pk,
        uid=str(row.uid),
        resends=row.resends,
        step=False,
        stock=row.stock_owed,
        bill=row.bill_owed,
    )
