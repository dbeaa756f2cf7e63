"""What an order waits for, and from whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, RowMapping, text

COUNT_LIMIT = 10_000
"""How many of the orders whose requests were sent again are examined to count the stuck ones."""

# Each change that was published as an event needs a mail: an import does not, nor does a change so
# old that its mail may have been deleted.
_NEEDS = """
    SELECT orders.id, orders.uid, orders.resends,
        has_items AND status IN ('pending', 'processing') AS step,
        has_items AND (
            status = 'cancelled' AND stock_freed_at IS NULL
            OR status = 'completed' AND stock_sold_at IS NULL
        ) AS stock,
        has_items AND status = 'cancelled' AND bill_voided_at IS NULL AND EXISTS (
            SELECT FROM order_history WHERE order_pk = orders.id AND to_status = 'processing'
        ) AS bill,
        ARRAY(
            SELECT wanted.step FROM order_history CROSS JOIN LATERAL (SELECT CASE
                WHEN from_status IS NULL AND cause <> 'import' THEN 'created'
                WHEN from_status IS NOT NULL AND to_status IN ('completed', 'cancelled')
                    THEN to_status
            END AS step) AS wanted
            WHERE order_pk = orders.id AND wanted.step IS NOT NULL
                AND at > now() - interval '1 day'
                AND NOT EXISTS (
                    SELECT FROM mails WHERE order_uid = orders.uid AND mails.step = wanted.step
                )
            ORDER BY order_history.id
        ) AS mails
    FROM orders CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM order_lines WHERE order_pk = orders.id) AS has_items
    ) AS items
"""
_IS_WAITING = "step OR stock OR bill OR mails <> '{}'"
# must match the partial index orders_stuck, or the planner scans the table
_RESENT = f"{_NEEDS} WHERE sweep_at IS NOT NULL AND resends > 0"
_DUE = text(
    f"{_NEEDS} WHERE sweep_at <= now() - :older_than ORDER BY sweep_at LIMIT :limit "
    "FOR UPDATE OF orders SKIP LOCKED"
)
_OF_ONE = text(f"{_NEEDS} WHERE orders.id = :order_pk")
_UNCONFIRMED = text(
    f"{_NEEDS} WHERE orders.id = ANY(:order_pks) AND status = 'completed' "
    "AND stock_sold_at IS NULL AND sweep_at IS NULL AND has_items "
    "ORDER BY orders.id LIMIT :limit FOR UPDATE OF orders"
)
_STUCK = text(
    f"SELECT needs.*, status FROM ({_RESENT}) AS needs JOIN orders USING (id) "
    f"WHERE ({_IS_WAITING}) AND status = coalesce(:status, status) ORDER BY id DESC LIMIT :limit"
)
_COUNT = text(
    f"SELECT count(*) FROM ({_RESENT} ORDER BY orders.id LIMIT {COUNT_LIMIT}) AS needs "
    f"WHERE {_IS_WAITING}"
)


@dataclass(frozen=True)
class Needs:
    """What an order waits for.

    Attributes:
        order_pk: the order's id.
        uid: its id in the saga.
        resends: how often its current request was sent again.
        step: whether it waits for stock, or for its bill.
        stock: whether it has ended, and inventory has not confirmed that it holds no stock.
        bill: whether it is cancelled, and billing has not confirmed that its bill is void.
        mails: the steps of which no mail is recorded.
    """

    order_pk: int
    uid: str
    resends: int
    step: bool
    stock: bool
    bill: bool
    mails: Sequence[str] = ()

    def __bool__(self) -> bool:
        return self.step or self.stock or self.bill or bool(self.mails)

    def describe(self, status: str) -> str:
        """Return who owes the order what, as text."""
        owed = [
            ("inventory: stock reserved", self.step and status == "pending"),
            ("billing: bill recorded", self.step and status == "processing"),
            ("inventory: stock released", self.stock and status == "cancelled"),
            ("inventory: stock sold", self.stock and status == "completed"),
            ("billing: bill voided", self.bill),
            *((f"mail-worker: mail {step}", True) for step in self.mails),
        ]
        return ", ".join(words for words, is_owed in owed if is_owed)


def of_order(connection: Connection, order_pk: int) -> Needs:
    """Return what one order, which must exist, waits for."""
    return _needs(connection.execute(_OF_ONE, {"order_pk": order_pk}).mappings().one())


def due(connection: Connection, older_than: timedelta, limit: int) -> list[Needs]:
    """Return what the orders that are due wait for, and lock them.

    Args:
        connection: in a transaction, which holds the locks.
        older_than: how long they must have waited.
        limit: the largest number of orders. Those that another process has locked are skipped.
    """
    parameters = {"older_than": older_than, "limit": limit}
    return [_needs(row) for row in connection.execute(_DUE, parameters).mappings()]


def unconfirmed(connection: Connection, order_pks: Sequence[int], limit: int) -> list[Needs]:
    """Return, and lock, up to `limit` completed orders whose sale was never requested."""
    parameters = {"order_pks": order_pks, "limit": limit}
    return [_needs(row) for row in connection.execute(_UNCONFIRMED, parameters).mappings()]


def stuck(connection: Connection, status: str | None, limit: int) -> list[Needs]:
    """Return up to `limit` orders that wait although a request was sent again, newest first."""
    parameters = {"status": status, "limit": limit}
    return [_needs(row) for row in connection.execute(_STUCK, parameters).mappings()]


def count_stuck(connection: Connection) -> int:
    """Count them among the first `COUNT_LIMIT` orders whose requests were sent again."""
    return int(connection.execute(_COUNT).scalar_one())


def _needs(row: RowMapping) -> Needs:
    names = ("uid", "resends", "step", "stock", "bill", "mails")
    values = {name: row[name] for name in names}
    return Needs(row["id"], **{**values, "uid": str(row["uid"])})
