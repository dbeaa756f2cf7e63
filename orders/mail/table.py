"""The table of mails: which are to be sent, and the outcome of each.

A mail starts as `waiting`, or as `unaddressed` if no address is known here. It ends as `sent`,
`refused` (for good, by a mail server), or `unknown` (the customer does not exist). Whoever works on
one claims it first: see `claims`.

The mails of an order are sent one after the other, its confirmation first. Only the next one is
`in_turn`: a claim skips those behind it, however many there are after an outage.

An address is deleted once its mail is sent, or its customer is deleted.
"""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import (
    BIGINT,
    Boolean,
    Column,
    Connection,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    case,
    func,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from chassis.json import encode
from chassis.schema.decoding import decode
from chassis.storage.prepared import PreparedStatement
from chassis.storage.retention import Expiry
from orders.settings import Retention

mails = Table(
    "mails",
    MetaData(),
    Column("id", BIGINT, Identity(always=True), primary_key=True),
    Column("order_uid", Uuid, nullable=False),
    Column("step", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("state", Text, nullable=False),
    Column("recipient", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("claim", Uuid),
    Column("claimed_at", DateTime(timezone=True)),
    Column("sent_at", DateTime(timezone=True)),
    Column("error", Text),
    Column("dead_letter", Text),
    Column("in_turn", Boolean, nullable=False, server_default=true()),
    Column("doubted", Uuid),
)
"""`dead_letter` is the id of the message that requests a refused mail again when it is sent back.

`doubted` is a claim that was found stale, but may still be renewed.
"""

State = Literal["unaddressed", "waiting"]
"""The states of an open mail: it lacks its address, or waits for its transport."""
OPEN: tuple[State, ...] = ("unaddressed", "waiting")
IS_OPEN = (mails.c.state + "").in_(OPEN)
"""Whether a mail is open, for statements that find their mails by another condition.

No partial index has this expression. With `state` itself, and statistics of a time when all mails
were sent, the planner reads all open mails by such an index: it expects none.
"""
DELETED = "the customer was deleted"
_GIVE_TURN = PreparedStatement(
    "give_turn",
    """
    UPDATE mails SET in_turn = true WHERE NOT in_turn AND id IN (
        SELECT DISTINCT ON (order_uid) id FROM mails
        WHERE order_uid = ANY(CAST(:uids AS uuid[])) AND state || '' IN ('unaddressed', 'waiting')
        ORDER BY order_uid, step <> 'created', id
    )
    """,
)
_ORDERS = 7308  # the first key of the advisory locks of orders
_DELETIONS = 7308044651  # the advisory lock between new mails and deletions of customers
_LOCK_ORDERS = PreparedStatement(
    "lock_mails_of_orders",
    f"""
    SELECT pg_advisory_xact_lock({_ORDERS}, key) FROM (
        SELECT DISTINCT hashtext(name) AS key FROM unnest(CAST(:names AS text[])) AS name
        ORDER BY key
    ) AS keys
    """,
)


def lock_to_record(connection: Connection, uids: Iterable[UUID]) -> None:
    """Lock what `record` needs, until the commit: no customer is deleted meanwhile.

    Call it before any other lock of the transaction, or it and a deletion may deadlock.

    Args:
        connection: in the transaction.
        uids: the orders.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _DELETIONS})
    lock_orders(connection, uids)


def lock_to_erase(connection: Connection) -> None:
    """Lock what `erase_customers` needs, until the commit: no mail is recorded meanwhile.

    Call it before any other lock of the transaction.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _DELETIONS})


def lock_orders(connection: Connection, uids: Iterable[UUID]) -> None:
    """Lock orders, always in the same sequence, until the commit: to change which mail is next."""
    names = [str(uid) for uid in uids]
    if names:
        _LOCK_ORDERS.execute(connection, {"names": names})


def give_turn(connection: Connection, uids: Collection[UUID]) -> None:
    """Put the next open mail of each of the orders, which are locked, in turn."""
    _GIVE_TURN.execute(connection, {"uids": list(uids)})


def erase_customers(connection: Connection, customer_ids: Collection[int]) -> None:
    """End the open mails of deleted customers, and delete their addresses.

    `lock_to_erase` was called before.
    """
    names = [str(id) for id in customer_ids]
    if not names:
        return
    theirs = mails.c.customer_id.in_(names)
    addressed = theirs & (mails.c.recipient.is_not(None) | mails.c.state.in_(OPEN))
    uids = connection.execute(select(mails.c.order_uid).where(addressed)).scalars()
    lock_orders(connection, set(uids))
    rows = select(mails.c.id, mails.c.data).where(addressed).order_by(mails.c.id).with_for_update()
    for row in connection.execute(rows).all():
        values = {"recipient": None, "data": without_address(bytes(row.data)), "error": DELETED}
        state = case((mails.c.state.in_(OPEN), "unknown"), else_=mails.c.state)
        own = update(mails).where(mails.c.id == row.id)
        connection.execute(own.values(values | {"state": state, "claim": None}))


def without_address(data: bytes) -> bytes:
    """Return the data of a mail without the address; an empty object if they are no object."""
    try:
        read = decode(data)
    except ValueError:
        read = None
    return encode({**read, "email": None} if isinstance(read, dict) else {})


def expiry(settings: Retention) -> Expiry:
    """Return which settled mails expire.

    Those of an order that has not ended stay: its events may arrive again.
    """
    ended = (
        "NOT EXISTS (SELECT FROM orders WHERE orders.uid = mails.order_uid "
        "AND orders.status NOT IN ('completed', 'cancelled'))"
    )
    condition = f"state NOT IN ('unaddressed', 'waiting') AND {ended}"
    return Expiry("mails", "recorded_at", timedelta(days=settings.mails_kept_days), condition)


def count_open(connection: Connection) -> dict[str, int]:
    """Return the number of open mails by state."""
    counted = select(mails.c.state, func.count()).where(mails.c.state.in_(OPEN))
    rows = connection.execute(counted.group_by(mails.c.state)).all()
    return dict.fromkeys(OPEN, 0) | {row[0]: row[1] for row in rows}
