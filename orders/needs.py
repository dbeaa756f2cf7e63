"""What an order waits for, and from whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, RowMapping, text

COUNTED = 10_000
"""How many of the orders that were sent again are looked at to count those that are stuck."""

# What an order waits for. A mail is wanted for each change that events told of: not for an import,
# and not for one so old that its mail may have been deleted.
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
_IS_NEEDY = "step OR stock OR bill OR mails <> '{}'"
# as the index orders_stuck says it
_SENT_AGAIN = f"{_NEEDS} WHERE sweep_at IS NOT NULL AND resends > 0"
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
    f"SELECT needs.*, status FROM ({_SENT_AGAIN}) AS needs JOIN orders USING (id) "
    f"WHERE ({_IS_NEEDY}) AND status = coalesce(:status, status) ORDER BY id DESC LIMIT :limit"
)
_COUNT = text(
    f"SELECT count(*) FROM ({_SENT_AGAIN} ORDER BY orders.id LIMIT {COUNTED}) AS needs "
    f"WHERE {_IS_NEEDY}"
)


@dataclass(frozen=True)
class Needs:
    """What an order waits for.

    Attributes:
        order_pk: the order's id.
        uid: its name in the saga.
        resends: how often its current step was sent again.
        step: whether it waits for stock, or for its bill.
        stock: whether it has ended, and inventory has not said that it holds no stock.
        bill: whether it is cancelled, and billing has not said that its bill is void.
        mails: the steps of which no mail is noted.
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

    def words(self, status: str) -> str:
        """Say who owes the order what."""
        owed = [
            ("inventory: stock reserved", self.step and status == "pending"),
            ("billing: bill recorded", self.step and status == "processing"),
            ("inventory: stock released", self.stock and status == "cancelled"),
            ("inventory: stock sold", self.stock and status == "completed"),
            ("billing: bill voided", self.bill),
            *((f"mail-worker: mail {step}", True) for step in self.mails),
        ]
        return ", ".join(words for words, is_owed in owed if is_owed)


def of(connection: Connection, order_pk: int) -> Needs:
    """Return what one order waits for; the caller knows that it exists."""
    return _needs(connection.execute(_OF_ONE, {"order_pk": order_pk}).mappings().one())


def due(connection: Connection, older_than: timedelta, limit: int) -> list[Needs]:
    """Return what orders wait for that are to be looked at, and lock them.

    Args:
        connection: in a transaction, which keeps the locks.
        older_than: how long ago their time began.
        limit: at most so many. Those that somebody else has locked are passed over.
    """
    parameters = {"older_than": older_than, "limit": limit}
    return [_needs(row) for row in connection.execute(_DUE, parameters).mappings()]


def unconfirmed(connection: Connection, order_pks: Sequence[int], limit: int) -> list[Needs]:
    """Lock up to `limit` of the completed orders whose sale was never asked for."""
    parameters = {"order_pks": order_pks, "limit": limit}
    return [_needs(row) for row in connection.execute(_UNCONFIRMED, parameters).mappings()]


def stuck(connection: Connection, status: str | None, limit: int) -> list[Needs]:
    """Return orders that wait for something that was sent again, up to `limit`, newest first."""
    parameters = {"status": status, "limit": limit}
    return [_needs(row) for row in connection.execute(_STUCK, parameters).mappings()]


def count_stuck(connection: Connection) -> int:
    """Count such orders among the first `COUNTED` that were sent again."""
    return int(connection.execute(_COUNT).scalar_one())


def _needs(row: RowMapping) -> Needs:
    names = ("uid", "resends", "step", "stock", "bill", "mails")
    values = {name: row[name] for name in names}
    return Needs(row["id"], **{**values, "uid": str(row["uid"])})
