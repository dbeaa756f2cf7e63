"""Recording the mails that events cause: once for each order and step, a batch at a time."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Uuid, any_, bindparam, func, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.json import encode
from chassis.storage.prepared import PreparedStatement
from chassis.trace import Trace
from orders.allowed_transitions import Step
from orders.customer_replica import table as customers
from orders.customer_replica.table import Entry
from orders.mail.message import OrderData
from orders.mail.table import IS_OPEN, OPEN, mails

_HOLD_BACK = timedelta(seconds=30)  # until the confirmation, which another consumer may record


class Cause(NamedTuple):
    """An event that causes a mail."""

    step: Step
    order: OrderData
    event_id: str
    trace: Trace | None


class _Recorded(NamedTuple):
    """What is known of a mail that is recorded."""

    state: str
    dead_letter: str | None = None


class _New(NamedTuple):
    """A row to insert; `wait` is the time until it is due."""

    order_uid: str
    step: Step
    order_id: str
    customer_id: str
    data: bytes
    headers: str
    state: str
    recipient: str | None
    in_turn: bool
    wait: timedelta


_KNOWN = PreparedStatement(
    "mails_of_orders",
    """
    SELECT order_uid, step, state, dead_letter FROM mails
    WHERE order_uid = ANY (CAST(:uids AS uuid[]))
    """,
)
_PUT_BEHIND = (
    update(mails)
    .where(
        mails.c.order_uid == any_(bindparam("uids", type_=ARRAY(Uuid))),
        mails.c.step != "created",
        IS_OPEN,
        mails.c.claim.is_(None),
    )
    .values(in_turn=False, next_attempt_at=func.now())
)
_INSERT = PreparedStatement(
    "record_mails",
    """
    INSERT INTO mails (order_uid, step, order_id, customer_id, data, headers, state, recipient,
        in_turn, next_attempt_at)
    SELECT order_uid, step, order_id, customer_id, data, headers, state, recipient,
        in_turn, now() + wait
    FROM unnest(
        CAST(:order_uid AS uuid[]), CAST(:step AS text[]), CAST(:order_id AS text[]),
        CAST(:customer_id AS text[]), CAST(:data AS bytea[]), CAST(:headers AS jsonb[]),
        CAST(:state AS text[]), CAST(:recipient AS text[]), CAST(:in_turn AS boolean[]),
        CAST(:wait AS interval[])
    ) WITH ORDINALITY AS new (order_uid, step, order_id, customer_id, data, headers, state,
        recipient, in_turn, wait, position)
    ORDER BY position
    """,
)

_AGAIN = text(
    """
    UPDATE mails SET state = new.state, recipient = new.recipient, data = new.data,
        in_turn = new.in_turn, attempts = 0, recorded_at = now(), next_attempt_at = now(),
        error = NULL, dead_letter = NULL, claim = NULL
    FROM unnest(
        CAST(:order_uid AS uuid[]), CAST(:step AS text[]), CAST(:data AS bytea[]),
        CAST(:state AS text[]), CAST(:recipient AS text[]), CAST(:in_turn AS boolean[])
    ) AS new (order_uid, step, data, state, recipient, in_turn)
    WHERE mails.order_uid = new.order_uid AND mails.step = new.step
    """
)


def record(connection: Connection, causes: Sequence[Cause]) -> bool:
    """Record mails, once for each order and step, in the caller's transaction.

    `lock_to_record` was called before. A refused mail is tried again if the event is its own dead
    letter, sent back. The address of a deleted customer is ignored.

    Args:
        connection: in the transaction.
        causes: the events, in their order.

    Returns:
        Whether a mail lacks its address.
    """
    uids = {cause.order.uid for cause in causes}
    customer_ids = {cause.order.customer_id for cause in causes}
    batch = _Batch(_known_mails(connection, uids), customers.find_all(connection, customer_ids))
    for cause in causes:
        batch.add(cause)
    batch.write(connection)
    return batch.lacks_address


def _known_mails(connection: Connection, uids: set[UUID]) -> dict[UUID, dict[str, _Recorded]]:
    found: dict[UUID, dict[str, _Recorded]] = {}
    for uid, step, *facts in _KNOWN.execute(connection, {"uids": list(uids)}):
        found.setdefault(uid, {})[step] = _Recorded(*facts)
    return found


class _Batch:
    """The mails of a batch: decided one after the other, then written."""

    def __init__(
        self, known: dict[UUID, dict[str, _Recorded]], customers: Mapping[str, Entry]
    ) -> None:
        self._known = known
        self._customers = customers
        self._rows: list[_New] = []
        self._behind: list[UUID] = []
        self._again: list[_New] = []
        self.lacks_address = False

    def add(self, cause: Cause) -> None:
        """Decide what an event causes."""
        uid, step = cause.order.uid, cause.step
        own = self._known.setdefault(uid, {})
        earlier = own.get(step)
        if earlier is not None and not _is_sent_back(earlier, cause.event_id):
            return
        row = self._row(cause, own)
        if step == "created" and _has_another_open(step, own):
            self._behind.append(uid)
        self.lacks_address |= row.state == "unaddressed"
        own[step] = _Recorded(row.state)
        (self._rows if earlier is None else self._again).append(row)

    def write(self, connection: Connection) -> None:
        """Write the rows."""
        if self._rows:
            _INSERT.execute(connection, _columns(self._rows))
        if self._again:
            connection.execute(_AGAIN, _columns(self._again))
        if self._behind:
            connection.execute(_PUT_BEHIND, {"uids": self._behind})

    def _row(self, cause: Cause, own: Mapping[str, _Recorded]) -> _New:
        order = cause.order
        known = self._customers.get(order.customer_id)
        if known is not None and known.deleted:
            order = order.model_copy(update={"email": None})
        recipient = order.email or (known.email if known else None)
        in_turn, wait = _turn(cause.step, own)
        return _New(
            order_uid=str(order.uid),
            step=cause.step,
            order_id=order.order_id,
            customer_id=order.customer_id,
            data=encode(order.model_dump()),
            headers=encode(cause.trace.headers if cause.trace else {}).decode(),
            state="waiting" if recipient else "unaddressed",
            recipient=recipient,
            in_turn=in_turn,
            wait=wait,
        )


def _is_sent_back(mail: _Recorded, event_id: str) -> bool:
    """Return whether an event is the dead letter of a refused mail."""
    return mail.state == "refused" and mail.dead_letter == event_id


def _has_another_open(step: Step, own: Mapping[str, _Recorded]) -> bool:
    return any(name != step and mail.state in OPEN for name, mail in own.items())


def _turn(step: Step, own: Mapping[str, _Recorded]) -> tuple[bool, timedelta]:
    """Return whether a mail is the next one of its order, and how long it is held back.

    While the confirmation of an order is not recorded, the other mails are held back for a while.

    Args:
        step: of the mail.
        own: the recorded mails of the order, by step.
    """
    if step == "created":
        return True, timedelta()
    if _has_another_open(step, own):
        return False, timedelta()
    return True, timedelta() if "created" in own else _HOLD_BACK


def _columns(rows: Sequence[_New]) -> dict[str, list[Any]]:
    return {name: [getattr(row, name) for row in rows] for name in _New._fields}
