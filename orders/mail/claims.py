"""Claims: who works on a mail of the table, and with which outcome.

Whoever sends a mail claims it first, for a lease: `next_attempt_at` is moved into the future, so
that nobody else claims it before the lease is over. A stale claim is doubted first, for a grace
period: its holder may have lost the database, and renews the claim as soon as it is back.

A claim does not read the content of the mail: an unreadable mail stops no other.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import Connection, Select, case, func, null, select, update

from chassis.schema.decoding import decode
from chassis.schema.validation import validated
from orders.allowed_transitions import Step
from orders.mail.message import OrderData
from orders.mail.table import OPEN, State, give_turn, lock_orders, mails, without_address

GRACE = timedelta(seconds=40)
"""How long the holder of a stale claim has to renew it: several times as long as that takes."""


class Mail(NamedTuple):
    """A claimed row of the table; `claim` is None if it is not claimed."""

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
        """Return the order that the mail is about.

        Raises:
            ValueError: the data are no order.
        """
        return read_order(self.data)


def read_order(data: bytes) -> OrderData:
    """Return the order in the data of a row. Raises ValueError if they are no order."""
    return validated(OrderData, decode(data))


def _due(state: State) -> Select[Any]:
    """Return the query that locks the first due mail in `state`, and selects its id.

    It must match the index mails_due, and skips rows that others have locked.
    """
    return (
        select(mails.c.id)
        .where(mails.c.state == state, mails.c.in_turn, mails.c.next_attempt_at <= func.now())
        .order_by(mails.c.next_attempt_at, mails.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        # an independent subquery, not one of the row that the outer statement updates
        .correlate(None)
    )


def claim(
    connection: Connection,
    lease: timedelta,
    state: State = "waiting",
    grace: timedelta | None = None,
) -> Mail | None:
    """Claim a mail for the time `lease`, and return it; the claim is valid once committed.

    Args:
        connection: in a transaction.
        lease: how long the claim is valid unless it is renewed.
        state: of the mails to choose from.
        grace: how long the holder of a stale claim, who may have lost the database, has to renew
            it; None if no holder acts without the database.
    """
    while True:
        mine = uuid4()
        row = connection.execute(_claiming(mine, lease, state, grace)).one_or_none()
        if row is None:
            return None
        if row.claim == mine:
            return _mail(row)


def _claiming(mine: UUID, lease: timedelta, state: State, grace: timedelta | None) -> Any:
    """Return the statement that claims the due mail, or marks its stale claim as doubted."""
    free = mails.c.claim.is_(None) | (mails.c.claim == mails.c.doubted)
    wait = func.now() + lease
    values: dict[str, Any] = {"claim": mine, "claimed_at": func.now(), "next_attempt_at": wait}
    values |= {"attempts": mails.c.attempts + 1, "doubted": null()}
    if grace is not None:
        old: dict[str, Any] = {name: mails.c[name] for name in values}
        old |= {"doubted": mails.c.claim, "next_attempt_at": func.now() + grace}
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
    """Extend claims to a `lease` from now; return those that are still valid."""
    held = update(mails).where(mails.c.claim.in_(claims), mails.c.state == "waiting")
    renewed = held.values(next_attempt_at=func.now() + lease, doubted=None)
    return set(connection.execute(renewed.returning(mails.c.claim)).scalars())


def lock(connection: Connection, mail: Mail) -> bool:
    """Lock a claimed mail; False if the claim is no longer valid."""
    lock_orders(connection, [mail.uid])
    own = (mails.c.id == mail.id, mails.c.claim == mail.claim, mails.c.state.in_(OPEN))
    found = connection.execute(select(mails.c.id).where(*own).with_for_update())
    return found.scalar() is not None


def set_recipient(connection: Connection, mail: Mail, recipient: str) -> None:
    """Set the address of a locked mail; it is due at once."""
    found = update(mails).where(mails.c.id == mail.id)
    due = {"claim": None, "next_attempt_at": func.now(), "attempts": 0, "error": None}
    connection.execute(found.values(state="waiting", recipient=recipient, **due))


def defer(connection: Connection, mail: Mail, reason: str, wait: timedelta) -> None:
    """Record why a mail could not be sent or addressed, and try again after `wait`."""
    own = update(mails).where(mails.c.id == mail.id, mails.c.state.in_(OPEN))
    own = own.where(mails.c.claim.is_not_distinct_from(mail.claim))
    values = {"error": reason, "next_attempt_at": func.now() + wait}
    connection.execute(own.values(claim=None, **values))


def mark_sent(connection: Connection, mail: Mail) -> bool:
    """Record that a mail is sent, whoever has claimed it since; False if it was settled before.

    The address is deleted.
    """
    data = without_address(mail.data)
    sent = {"state": "sent", "sent_at": func.now(), "recipient": None, "data": data}
    return _end(connection, mail, **sent, error=None)


def mark_refused(connection: Connection, mail: Mail, reason: str, dead_letter: str) -> bool:
    """Record that a mail is refused for good; False if it was settled before."""
    return _end(connection, mail, state="refused", error=reason, dead_letter=dead_letter)


def mark_unknown(connection: Connection, mail: Mail) -> bool:
    """Record that a locked mail has no customer; True if it is the order's first such mail."""
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
