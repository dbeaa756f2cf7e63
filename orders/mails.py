"""The table of mails: what is to be sent, by whom it is being sent, and what became of it.

A mail begins as `waiting`, or as `unaddressed` if no address is known here; it ends as `sent`,
`refused` (for good, by a mail server), or `unknown` (there is no such customer).

Whoever sends a mail claims it first, for a while (a lease): `next_attempt_at` is moved into the
future, so that nobody else takes it before the claim is stale. Even then it is doubted first: its
holder may have been cut off from the database, and renews its claim as soon as that is back.

The mails of an order go one after the other, its confirmation first. Only the one whose turn it is
is `in_turn`: claiming need not look at those behind it, however many there are after an outage.

An address is kept while it is needed: it goes with the mail that was sent, and with the customer.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import (
    BIGINT,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    Uuid,
    case,
    func,
    null,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from chassis import trace
from chassis.encoding import encode
from chassis.json_decoding import decode
from chassis.retention import Expiry
from chassis.validation import validated
from orders.directory import find
from orders.mail_text import OrderData, Step
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
"""`dead_letter` is the id of the message by which a refused mail can be asked for again.

`doubted` is a claim that was found stale, and may yet be renewed.
"""

State = Literal["unaddressed", "waiting"]
"""Of a mail that is open: whether its address or its transport comes next."""
_OPEN: tuple[State, ...] = ("unaddressed", "waiting")
DOUBT = timedelta(seconds=40)
"""How long the holder of a stale claim has to renew it: several times what it takes to."""
_HELD_BACK = timedelta(seconds=30)  # for the confirmation, which another consumer may have in hand
_LOCKS = 7308  # the space of the advisory locks of orders
DELETED = "the customer was deleted"


class Mail(NamedTuple):
    """A row of the table, as whoever works on it sees it; `claim` is None without one."""

    id: int
    uid: UUID
    step: Step
    customer_id: str
    order: OrderData
    headers: Mapping[str, str]
    recorded_at: datetime
    recipient: str | None
    attempts: int
    claim: UUID | None


def lock_orders(connection: Connection, uids: Iterable[UUID]) -> None:
    """Lock orders for what changes whose turn it is, all in one order, until the commit."""
    names = [str(uid) for uid in uids]
    if names:
        keys = "SELECT DISTINCT hashtext(name) AS key FROM unnest(:names) AS name ORDER BY key"
        statement = text(f"SELECT pg_advisory_xact_lock({_LOCKS}, key) FROM ({keys}) AS keys")
        connection.execute(statement, {"names": names})


def record(connection: Connection, step: Step, order: OrderData, event_id: str) -> None:
    """Note that a mail is to be sent, once for each order and step, in the caller's transaction.

    The order is locked (see `lock_orders`). A mail that was refused is tried again if the event is
    its own dead letter, sent back. A deleted customer's address is not taken.
    """
    known = find(connection, order.customer_id)
    if known is not None and known.forgotten:
        order = order.model_copy(update={"email": None})
    recipient = order.email or (known.email if known else None)
    current = trace.current()
    state = "waiting" if recipient else "unaddressed"
    in_turn, due = _turn(connection, step, order.uid)
    statement = insert(mails).values(
        order_uid=order.uid,
        step=step,
        order_id=order.order_id,
        customer_id=order.customer_id,
        data=encode(order.model_dump()),
        headers=current.headers if current else {},
        state=state,
        recipient=recipient,
        in_turn=in_turn,
        next_attempt_at=due,
    )
    again: dict[str, Any] = {"state": state, "recipient": recipient, "attempts": 0}
    again |= {"recorded_at": func.now(), "next_attempt_at": func.now(), "error": None}
    again |= {
        "dead_letter": None,
        "in_turn": in_turn,
        "data": statement.excluded.data,
        "claim": None,
    }
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[mails.c.order_uid, mails.c.step],
            set_=again,
            where=(mails.c.state == "refused") & (mails.c.dead_letter == event_id),
        )
    )


def _turn(connection: Connection, step: Step, uid: UUID) -> tuple[bool, ColumnElement[datetime]]:
    """Tell whether it is a new mail's turn, and from when on it is due.

    Of an order whose confirmation is not noted yet, the other mails are held back for a while.
    """
    others = mails.c.order_uid == uid, mails.c.step != step
    if step == "created":
        later = update(mails).where(*others, mails.c.state.in_(_OPEN), mails.c.claim.is_(None))
        connection.execute(later.values(in_turn=False, next_attempt_at=func.now()))
        return True, func.now()
    found = connection.execute(select(mails.c.step, mails.c.state).where(*others)).all()
    if any(row.state in _OPEN for row in found):
        return False, func.now()
    if any(row.step == "created" for row in found):
        return True, func.now()
    return True, func.now() + _HELD_BACK


def _due(state: State) -> Select[Any]:
    """Select the id of the mail in `state` whose turn it is, locked, unless others have it.

    Served by the index mails_due, in its order.
    """
    return (
        select(mails.c.id)
        .where(mails.c.state == state, mails.c.in_turn, mails.c.next_attempt_at <= func.now())
        .order_by(mails.c.next_attempt_at, mails.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        # not of the row that the statement around it changes
        .correlate(None)
    )


def claim(
    connection: Connection,
    lease: timedelta,
    state: State = "waiting",
    doubt: timedelta | None = None,
) -> Mail | None:
    """Claim a mail for as long as `lease`, and return it; the claim counts once it is committed.

    Args:
        connection: in a transaction.
        lease: how long the claim counts unless it is renewed.
        state: which mails to look at.
        doubt: how much longer to wait for a stale claim to be renewed, by a holder that was cut off
            from the database; None if no holder acts without asking the database.
    """
    while True:
        mine = uuid4()
        row = connection.execute(_claiming(mine, lease, state, doubt)).one_or_none()
        if row is None:
            return None
        if row.claim == mine:
            return _mail(row)


def _claiming(mine: UUID, lease: timedelta, state: State, doubt: timedelta | None) -> Any:
    """Return the statement that claims the mail which is due, or doubts the claim it has."""
    free = mails.c.claim.is_(None) | (mails.c.claim == mails.c.doubted)
    wait = func.now() + lease
    values: dict[str, Any] = {"claim": mine, "claimed_at": func.now(), "next_attempt_at": wait}
    values |= {"attempts": mails.c.attempts + 1, "doubted": null()}
    if doubt is not None:
        old: dict[str, Any] = {name: mails.c[name] for name in values}
        old |= {"doubted": mails.c.claim, "next_attempt_at": func.now() + doubt}
        values = {name: case((free, values[name]), else_=old[name]) for name in values}
    chosen = update(mails).where(mails.c.id == _due(state).scalar_subquery())
    return chosen.values(values).returning(mails)


def _mail(row: Any) -> Mail:
    order = validated(OrderData, decode(bytes(row.data)))
    return Mail(
        row.id,
        row.order_uid,
        row.step,
        row.customer_id,
        order,
        row.headers,
        row.recorded_at,
        row.recipient,
        row.attempts,
        row.claim,
    )


def renew(connection: Connection, claims: Sequence[UUID], lease: timedelta) -> set[UUID]:
    """Make claims last for another `lease` from now; return those that still hold."""
    held = update(mails).where(mails.c.claim.in_(claims), mails.c.state == "waiting")
    renewed = held.values(next_attempt_at=func.now() + lease, doubted=None)
    return set(connection.execute(renewed.returning(mails.c.claim)).scalars())


def lock(connection: Connection, mail: Mail) -> bool:
    """Lock a claimed mail; False if the claim went stale and another has taken the mail."""
    lock_orders(connection, [mail.uid])
    own = (mails.c.id == mail.id, mails.c.claim == mail.claim, mails.c.state.in_(_OPEN))
    found = connection.execute(select(mails.c.id).where(*own).with_for_update())
    return found.scalar() is not None


def mark_sent(connection: Connection, mail: Mail) -> bool:
    """Note that a mail is sent, whoever else may have claimed it; False if that was known.

    The address is not kept.
    """
    data = encode(mail.order.model_copy(update={"email": None}).model_dump())
    sent = {"state": "sent", "sent_at": func.now(), "recipient": None, "data": data}
    return _end(connection, mail, **sent, error=None)


def mark_refused(connection: Connection, mail: Mail, reason: str, dead_letter: str) -> bool:
    """Note that a mail will never be sent; False if another has settled it."""
    return _end(connection, mail, state="refused", error=reason, dead_letter=dead_letter)


def mark_unknown(connection: Connection, mail: Mail) -> bool:
    """Note that a mail, locked, has no such customer; True if it is the order's first such mail."""
    _end(connection, mail, state="unknown", error="there is no such customer")
    others = select(mails.c.id).where(mails.c.order_uid == mail.uid, mails.c.id != mail.id)
    known = others.where(mails.c.state == "unknown").exists()
    return not connection.execute(select(known)).scalar_one()


def _end(connection: Connection, mail: Mail, **values: Any) -> bool:
    lock_orders(connection, [mail.uid])
    statement = update(mails).where(mails.c.id == mail.id, mails.c.state.in_(_OPEN))
    ended = connection.execute(statement.values(claim=None, **values)).rowcount == 1
    _give_turn(connection, mail.uid)
    return ended


def _give_turn(connection: Connection, uid: UUID) -> None:
    """Let the next open mail of an order, locked, have its turn."""
    first = (
        select(mails.c.id)
        .where(mails.c.order_uid == uid, mails.c.state.in_(_OPEN))
        .order_by(mails.c.step != "created", mails.c.id)
        .limit(1)
        .correlate(None)
    )
    behind = update(mails).where(mails.c.id == first.scalar_subquery(), ~mails.c.in_turn)
    connection.execute(behind.values(in_turn=True))


def forget(connection: Connection, customer_ids: Collection[int]) -> None:
    """Send deleted customers nothing more, and keep no address of theirs."""
    names = [str(id) for id in customer_ids]
    if not names:
        return
    theirs = mails.c.customer_id.in_(names)
    addressed = theirs & (mails.c.recipient.is_not(None) | mails.c.state.in_(_OPEN))
    uids = connection.execute(select(mails.c.order_uid).where(addressed)).scalars()
    lock_orders(connection, set(uids))
    rows = select(mails.c.id, mails.c.data).where(addressed).order_by(mails.c.id).with_for_update()
    for row in connection.execute(rows).all():
        values = {"recipient": None, "data": _without_address(bytes(row.data)), "error": DELETED}
        state = case((mails.c.state.in_(_OPEN), "unknown"), else_=mails.c.state)
        own = update(mails).where(mails.c.id == row.id)
        connection.execute(own.values(values | {"state": state, "claim": None}))


def _without_address(data: bytes) -> bytes:
    order = validated(OrderData, decode(data))
    return encode(order.model_copy(update={"email": None}).model_dump())


def address(connection: Connection, mail: Mail, recipient: str) -> None:
    """Give a mail, locked, its address; it is due at once."""
    found = update(mails).where(mails.c.id == mail.id)
    due = {"claim": None, "next_attempt_at": func.now(), "attempts": 0, "error": None}
    connection.execute(found.values(state="waiting", recipient=recipient, **due))


def put_off(connection: Connection, mail: Mail, reason: str, pause: timedelta) -> None:
    """Note why a mail could not be sent, or addressed, and when to try again."""
    own = update(mails).where(mails.c.id == mail.id, mails.c.state.in_(_OPEN))
    own = own.where(mails.c.claim.is_not_distinct_from(mail.claim))
    values = {"error": reason, "next_attempt_at": func.now() + pause}
    connection.execute(own.values(claim=None, **values))


def expiry(settings: Retention) -> Expiry:
    """Return which mails are settled and need no longer be known.

    Those of an order that has not ended stay: its events may come again.
    """
    ended = (
        "NOT EXISTS (SELECT FROM orders WHERE orders.uid = mails.order_uid "
        "AND orders.status NOT IN ('completed', 'cancelled'))"
    )
    condition = f"state NOT IN ('unaddressed', 'waiting') AND {ended}"
    return Expiry("mails", "recorded_at", timedelta(days=settings.mails_kept_days), condition)


def waiting(connection: Connection) -> dict[str, int]:
    """Return how many mails are open, by their state."""
    counted = select(mails.c.state, func.count()).where(mails.c.state.in_(_OPEN))
    rows = connection.execute(counted.group_by(mails.c.state)).all()
    return dict.fromkeys(_OPEN, 0) | {row[0]: row[1] for row in rows}
