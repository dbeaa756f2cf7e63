"""Claims: who works on a mail of the table, and what comes of it.

Whoever sends a mail claims it first, for a while (a lease): `next_attempt_at` is moved into the
future, so that nobody else takes it before the claim is stale. Even then it is doubted first: its
holder may have been cut off from the database, and renews its claim as soon as that is back.

A claim reads nothing of what the mail says: one that can't be read stops no other.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import Connection, Select, case, func, null, select, update

from chassis.schema.decoding import decode
from chassis.schema.validation import validated
from orders.mail.message import OrderData, Step
from orders.mail.table import OPEN, State, give_turn, lock_orders, mails, without_address

DOUBT = timedelta(seconds=40)
"""How long the holder of a stale claim has to renew it: several times what it takes to."""


class Mail(NamedTuple):
    """A row of the table, as whoever works on it sees it; `claim` is None without one."""

    id: int
    uid: UUID
    step: Step
    order_id: str
    customer_id: str
    data: bytes
    headers: Mapping[str, str]
    recorded_at: datetime
    recipient: str | None
    attempts: int
    claim: UUID | None

    def order(self) -> OrderData:
        """Read the order that the mail tells of.

        Raises:
            ValueError: the row says nothing that can be read as one.
        """
        return read_order(self.data)


def read_order(data: bytes) -> OrderData:
    """Read what a row of the table says of an order. Raises ValueError if it can't be read."""
    return validated(OrderData, decode(data))


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
    return Mail(
        row.id,
        row.order_uid,
        row.step,
        row.order_id,
        row.customer_id,
        bytes(row.data),
        row.headers if isinstance(row.headers, dict) else {},
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
    own = (mails.c.id == mail.id, mails.c.claim == mail.claim, mails.c.state.in_(OPEN))
    found = connection.execute(select(mails.c.id).where(*own).with_for_update())
    return found.scalar() is not None


def address(connection: Connection, mail: Mail, recipient: str) -> None:
    """Give a mail, locked, its address; it is due at once."""
    found = update(mails).where(mails.c.id == mail.id)
    due = {"claim": None, "next_attempt_at": func.now(), "attempts": 0, "error": None}
    connection.execute(found.values(state="waiting", recipient=recipient, **due))


def put_off(connection: Connection, mail: Mail, reason: str, pause: timedelta) -> None:
    """Note why a mail could not be sent, or addressed, and when to try again."""
    own = update(mails).where(mails.c.id == mail.id, mails.c.state.in_(OPEN))
    own = own.where(mails.c.claim.is_not_distinct_from(mail.claim))
    values = {"error": reason, "next_attempt_at": func.now() + pause}
    connection.execute(own.values(claim=None, **values))


def mark_sent(connection: Connection, mail: Mail) -> bool:
    """Note that a mail is sent, whoever else may have claimed it; False if that was known.

    The address is not kept.
    """
    data = without_address(mail.data)
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
    statement = update(mails).where(mails.c.id == mail.id, mails.c.state.in_(OPEN))
    ended = connection.execute(statement.values(claim=None, **values)).rowcount == 1
    give_turn(connection, mail.uid)
    return ended
