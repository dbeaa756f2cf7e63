"""The table of mails: what is to be sent, by whom it is being sent, and what became of it.

A mail begins as `waiting`, or as `unaddressed` if no address is known here; it ends as `sent`,
`refused` (for good, by a mail server), or `unknown` (there is no such customer).

Whoever sends a mail claims it first, for a while (a lease): `next_attempt_at` is moved into the
future, so that nobody else takes it before the claim is stale.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import (
    BIGINT,
    Column,
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
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from chassis import trace
from chassis.encoding import encode
from chassis.json_decoding import decode
from chassis.retention import Expiry
from chassis.validation import validated
from orders.directory import email_of
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
)
"""`dead_letter` is the id of the message by which a refused mail can be asked for again."""

State = Literal["unaddressed", "waiting"]
"""Of a mail that is open: whether its address or its transport comes next."""
_OPEN: tuple[State, ...] = ("unaddressed", "waiting")
_earlier = mails.alias("earlier")


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


def record(connection: Connection, step: Step, order: OrderData, event_id: str) -> None:
    """Note that a mail is to be sent, once for each order and step, in the caller's transaction.

    A mail that was refused is tried again if the event is its own dead letter, sent back.
    """
    recipient = order.email or email_of(connection, order.customer_id)
    current = trace.current()
    state = "waiting" if recipient else "unaddressed"
    statement = insert(mails).values(
        order_uid=order.uid,
        step=step,
        order_id=order.order_id,
        customer_id=order.customer_id,
        data=encode(order.model_dump()),
        headers=current.headers if current else {},
        state=state,
        recipient=recipient,
    )
    again = {"state": state, "recipient": recipient, "attempts": 0, "recorded_at": func.now()}
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[mails.c.order_uid, mails.c.step],
            set_=again | {"next_attempt_at": func.now(), "error": None, "dead_letter": None},
            where=(mails.c.state == "refused") & (mails.c.dead_letter == event_id),
        )
    )


def _due(state: State) -> Select[Any]:
    """Select the id of the mail in `state` whose turn it is, locked, unless others have it.

    The mails of one order keep their order.
    """
    before = (
        select(_earlier.c.id)
        .where(_earlier.c.order_uid == mails.c.order_uid, _earlier.c.id < mails.c.id)
        .where(_earlier.c.state.in_(_OPEN))
    )
    return (
        select(mails.c.id)
        .where(mails.c.state == state, mails.c.next_attempt_at <= func.now(), ~before.exists())
        .order_by(mails.c.next_attempt_at, mails.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        # not of the row that the statement around it changes
        .correlate(None)
    )


def claim(connection: Connection, lease: timedelta, state: State = "waiting") -> Mail | None:
    """Claim a mail for as long as `lease`, and return it; the claim counts once it is committed."""
    claimed = update(mails).values(
        claim=uuid4(),
        claimed_at=func.now(),
        attempts=mails.c.attempts + 1,
        next_attempt_at=func.now() + lease,
    )
    return _taken(connection, claimed.where(mails.c.id == _due(state).scalar_subquery()))


def _taken(connection: Connection, statement: Any) -> Mail | None:
    row = connection.execute(statement.returning(mails)).one_or_none()
    if row is None:
        return None
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


def renew(connection: Connection, claims: Sequence[UUID], lease: timedelta) -> None:
    """Make claims last for another `lease` from now."""
    held = update(mails).where(mails.c.claim.in_(claims), mails.c.state == "waiting")
    connection.execute(held.values(next_attempt_at=func.now() + lease))


def lock(connection: Connection, mail: Mail) -> bool:
    """Lock a claimed mail; False if the claim went stale and another has taken the mail."""
    own = (mails.c.id == mail.id, mails.c.claim == mail.claim, mails.c.state.in_(_OPEN))
    found = connection.execute(select(mails.c.id).where(*own).with_for_update())
    return found.scalar() is not None


def mark_sent(connection: Connection, mail: Mail) -> bool:
    """Note that a mail is sent, whoever else may have claimed it; False if that was known."""
    return _end(connection, mail, state="sent", sent_at=func.now(), error=None)


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
    statement = update(mails).where(mails.c.id == mail.id, mails.c.state.in_(_OPEN))
    return connection.execute(statement.values(claim=None, **values)).rowcount == 1


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
