"""Bills: recording, voiding and finding them. Knows neither HTTP nor the broker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypedDict

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from billing.models import bills, voided_bills
from billing.settings import Retention
from chassis.errors import FieldError, InvalidError, NotFoundError
from chassis.storage.page_size import bounded
from chassis.storage.prepared import PreparedStatement
from chassis.storage.retention import Expiry
from chassis.storage.rows import first, rows

# shared to record, exclusive to void: without it, a bill and its cancellation that arrive at the
# same time would not see each other, and the bill would stay valid
_LOCK = 5102026117


class Bill(TypedDict):
    """A bill, as the API shows it; its id is that of its message."""

    id: str
    user_id: str
    number_of_items: int
    total_amount: Decimal
    order_id: str | None
    created_at: datetime
    voided_at: datetime | None


_SHOWN = (bills.c.message_id.label("id"), *bills.c[tuple(Bill.__annotations__)[1:]])
_LISTED = bounded(_SHOWN, bills.c.id.desc())
_GIVEN = ("message_id", "user_id", "number_of_items", "total_amount", "order_id")
# with the time of the transaction, which its new bills have as `created_at`
_LOCK_SHARED = select(func.now(), func.pg_advisory_xact_lock_shared(_LOCK))
# a row of VALUES for each bill would cost more to write and to plan than to insert. Returned is
# only what the caller does not know.
_RECORD = PreparedStatement(
    "record_bills",
    """
    INSERT INTO orders
        (message_id, user_id, number_of_items, total_amount, order_id, voided_at)
    SELECT message_id, user_id, number_of_items, total_amount, order_id, voided_bills.voided_at
    FROM unnest(
        CAST(:message_id AS text[]), CAST(:user_id AS text[]), CAST(:number_of_items AS integer[]),
        CAST(:total_amount AS numeric[]), CAST(:order_id AS text[])
    ) WITH ORDINALITY
        AS new (message_id, user_id, number_of_items, total_amount, order_id, place)
    LEFT JOIN voided_bills USING (message_id)
    ORDER BY place
    ON CONFLICT (message_id) DO NOTHING
    RETURNING message_id, voided_at
    """,
)


def record(connection: Connection, new: Sequence[Mapping[str, Any]]) -> list[Bill]:
    """Insert bills, each message id once; return the new ones.

    A bill that was voided before it arrived is recorded as void since then.
    """
    # a statement of its own, so that the next one sees everything committed before the lock
    now, _locked = connection.execute(_LOCK_SHARED).one()
    given = {bill["message_id"]: bill for bill in reversed(new)}
    columns = {name: [bill.get(name) for bill in new] for name in _GIVEN}
    return [
        Bill(
            id=message_id,
            user_id=given[message_id]["user_id"],
            number_of_items=given[message_id]["number_of_items"],
            total_amount=given[message_id]["total_amount"],
            order_id=given[message_id].get("order_id"),
            created_at=now,
            voided_at=voided_at,
        )
        for message_id, voided_at in _RECORD.execute(connection, columns)
    ]


def _notes(connection: Connection, message_ids: Sequence[str]) -> dict[str, Any]:
    ids = func.unnest(message_ids, type_=voided_bills.c.message_id.type)
    query = select(voided_bills.c.message_id, voided_bills.c.voided_at)
    found = connection.execute(query.where(voided_bills.c.message_id.in_(select(ids))))
    return {row.message_id: row.voided_at for row in found}


@dataclass(frozen=True)
class VoidBill:
    """A bill that is void.

    Attributes:
        shown: its members in the API; all but `id` and `voided_at` are None before it arrives.
        is_recorded: whether the bill has arrived.
        is_new: whether this call has voided it.
    """

    shown: Mapping[str, object]
    is_recorded: bool
    is_new: bool


def recorded(connection: Connection, message_ids: Sequence[str]) -> list[Bill]:
    """Return the bills of these messages that are recorded, oldest first."""
    ids = func.unnest(message_ids, type_=voided_bills.c.message_id.type)
    query = select(*_SHOWN).where(bills.c.message_id.in_(select(ids))).order_by(bills.c.id)
    return rows(connection, query, Bill)


def void(connection: Connection, message_id: str) -> VoidBill:
    """Void the bill of a message, or note that it is void if it has not arrived yet.

    A bill that is void already stays unchanged.
    """
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    valid = update(bills).where(bills.c.message_id == message_id, bills.c.voided_at.is_(None))
    voided = valid.values(voided_at=func.now()).returning(*_SHOWN)
    if bill := first(connection, voided, Bill):
        return VoidBill(bill, is_recorded=True, is_new=True)
    if earlier := recorded(connection, [message_id]):
        return VoidBill(earlier[0], is_recorded=True, is_new=False)
    return _note(connection, message_id)


def _note(connection: Connection, message_id: str) -> VoidBill:
    note = insert(voided_bills).values(message_id=message_id).on_conflict_do_nothing()
    is_new = connection.execute(note).rowcount > 0
    since = _notes(connection, [message_id])[message_id]
    nothing: dict[str, object] = dict.fromkeys(Bill.__annotations__)
    shown = nothing | {"id": message_id, "voided_at": since}
    return VoidBill(shown, is_recorded=False, is_new=is_new)


def expiry(settings: Retention) -> Expiry:
    """Return the condition for expired cancellations."""
    return Expiry("voided_bills", "voided_at", timedelta(days=settings.cancellations_kept_days))


def find(
    connection: Connection,
    *,
    user_id: str | None,
    order_id: str | None,
    after: str | None,
    limit: int,
) -> list[Bill]:
    """Return up to `limit` bills older than the bill `after`, newest first.

    Those that no longer fit into a page have no texts (see `bounded`).

    Raises:
        InvalidError: there is no bill `after`.
    """
    query = select(*_LISTED).order_by(bills.c.id.desc()).limit(limit)
    if user_id is not None:
        query = query.where(bills.c.user_id == user_id)
    if order_id is not None:
        query = query.where(bills.c.order_id == order_id)
    if after is not None:
        query = query.where(bills.c.id < _row_id(connection, after))
    return rows(connection, query, Bill)


def _row_id(connection: Connection, message_id: str) -> int:
    query = select(bills.c.id).where(bills.c.message_id == message_id)
    row_id: int | None = connection.execute(query).scalar()
    if row_id is None:
        raise InvalidError([FieldError("after", "is not the id of a bill")])
    return row_id


def get(connection: Connection, message_id: str) -> Bill:
    """Return one bill.

    Raises:
        NotFoundError: no bill with this id is recorded, or not yet.
    """
    bill = first(connection, select(*_SHOWN).where(bills.c.message_id == message_id), Bill)
    if bill is None:
        raise NotFoundError(f"There is no bill with the id {message_id}, or not yet.")
    return bill
