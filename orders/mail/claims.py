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

from sqlalchemy import (
    BIGINT,
    ColumnElement,
    Connection,
    Select,
    any_,
    case,
    cast,
    func,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.schema.decoding import decode
from chassis.schema.validation import validated
from chassis.storage.prepared import PreparedStatement
from orders.allowed_transitions import Step
from orders.mail.message import OrderData
from orders.mail.table import IS_OPEN, State, give_turn, lock_orders, mails, without_address

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


def _due(state: State, limit: int) -> Select[Any]:
    """Return the query that locks the first due mails in `state`, and selects their ids.

    It must match the index mails_due, and skips rows that others have locked.
    """
    return (
        select(mails.c.id)
        .where(mails.c.state == state, mails.c.in_turn, mails.c.next_attempt_at <= func.now())
        .order_by(mails.c.next_attempt_at, mails.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        # an independent subquery, not one of the row that the outer statement updates
        .correlate(None)
    )


def claim(
    connection: Connection,
    lease: timedelta,
    state: State = "waiting",
    grace: timedelta | None = None,
    limit: int = 1,
) -> list[Mail]:
    """Claim the first due mails for the time `lease`; the claim is valid once committed.

    Args:
        connection: in a transaction.
        lease: how long the claim is valid unless it is renewed.
        state: of the mails to choose from.
        grace: how long the holder of a stale claim, who may have lost the database, has to renew
            it; None if no holder acts without the database.
        limit: how many to claim at most. They have different orders, and one claim.

    Returns:
        The mails, in the sequence of their records; none if none is due.
    """
    never_sort(connection)
    while True:
        mine = uuid4()
        found = connection.execute(_claiming(mine, lease, state, grace, limit)).all()
        claimed = [_mail(row) for row in found if row.claim == mine]
        if claimed or not found:
            return sorted(claimed, key=lambda mail: mail.id)


def never_sort(connection: Connection) -> None:
    """Have the transaction's due mails found by `mails_due`, whose order is the one asked for.

    With statistics of a time when few mails were open, or with none, the planner expects few of
    them, and would read and sort all open mails for each claim of several. PostgreSQL 15 sorts
    nevertheless if no index has the order.
    """
    connection.execute(text("SET LOCAL enable_sort = off"))


def _claiming(
    mine: UUID, lease: timedelta, state: State, grace: timedelta | None, limit: int = 1
) -> Any:
    """Return the statement that claims the due mails, or marks their stale claims as doubted."""
    free = mails.c.claim.is_(None) | (mails.c.claim == mails.c.doubted)
    wait = func.now() + lease
    values: dict[str, Any] = {"claim": mine, "claimed_at": func.now(), "next_attempt_at": wait}
    values |= {"attempts": mails.c.attempts + 1, "doubted": null()}
    if grace is not None:
        old: dict[str, Any] = {name: mails.c[name] for name in values}
        old |= {"doubted": mails.c.claim, "next_attempt_at": func.now() + grace}
        values = {name: case((free, values[name]), else_=old[name]) for name in values}
    # an array is computed once; a subquery might lock other rows each time that it is executed
    due = func.array(_due(state, limit).scalar_subquery(), type_=ARRAY(BIGINT))
    chosen = update(mails).where(mails.c.id == any_(due))
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
    own = select(mails.c.id).where(mails.c.claim.in_(claims), mails.c.state == "waiting")
    # locked by id, as `lock` does: an update alone takes them in the order in which it finds them
    ids = func.array(own.order_by(mails.c.id).with_for_update().scalar_subquery())
    held = update(mails).where(mails.c.id == any_(cast(ids, ARRAY(BIGINT))))
    renewed = held.values(next_attempt_at=func.now() + lease, doubted=None)
    return set(connection.execute(renewed.returning(mails.c.claim)).scalars())


def lock(connection: Connection, claimed: Sequence[Mail]) -> list[Mail]:
    """Lock claimed mails, and return those whose claims are still valid."""
    lock_orders(connection, [mail.uid for mail in claimed])
    claims = {mail.claim for mail in claimed if mail.claim is not None}
    own = (_is_one_of(claimed), mails.c.claim.in_(claims), IS_OPEN)
    rows = select(mails.c.id, mails.c.claim).where(*own).order_by(mails.c.id).with_for_update()
    held = {tuple(row) for row in connection.execute(rows)}
    return [mail for mail in claimed if (mail.id, mail.claim) in held]


def set_recipient(connection: Connection, mail: Mail, recipient: str) -> None:
    """Set the address of a locked mail; it is due at once."""
    found = update(mails).where(mails.c.id == mail.id)
    due = {"claim": None, "next_attempt_at": func.now(), "attempts": 0, "error": None}
    connection.execute(found.values(state="waiting", recipient=recipient, **due))


def defer(connection: Connection, mail: Mail, reason: str, wait: timedelta) -> None:
    """Record why a mail could not be sent or addressed, and try again after `wait`."""
    own = update(mails).where(mails.c.id == mail.id, IS_OPEN)
    own = own.where(mails.c.claim.is_not_distinct_from(mail.claim))
    values = {"error": reason, "next_attempt_at": func.now() + wait}
    connection.execute(own.values(claim=None, **values))


def mark_sent(connection: Connection, sent: Sequence[Mail]) -> None:
    """Record that mails are sent, whoever has claimed them since. Their addresses are deleted."""
    uids = [mail.uid for mail in sent]
    lock_orders(connection, uids)
    data = [without_address(mail.data) for mail in sent]
    _SENT.execute(connection, {"ids": [mail.id for mail in sent], "data": data})
    give_turn(connection, uids)


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
    statement = update(mails).where(mails.c.id == mail.id, IS_OPEN)
    ended = connection.execute(statement.values(claim=None, **values)).rowcount == 1
    give_turn(connection, [mail.uid])
    return ended


def _is_one_of(some: Sequence[Mail]) -> ColumnElement[bool]:
    return mails.c.id == any_(cast([mail.id for mail in some], ARRAY(BIGINT)))


# IS_OPEN says why the expression of the state is not the column alone
_SENT = PreparedStatement(
    "mark_mails_sent",
    """
    UPDATE mails SET state = 'sent', sent_at = now(), recipient = NULL, data = new.data,
        error = NULL, claim = NULL
    FROM unnest(CAST(:ids AS bigint[]), CAST(:data AS bytea[])) AS new (id, data)
    WHERE mails.id = new.id AND mails.state || '' IN ('unaddressed', 'waiting')
    """,
)
