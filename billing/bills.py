"""Bills: recording, voiding and finding them. Knows neither HTTP nor the broker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from billing.models import Bill, VoidedBill
from billing.settings import Retention
from chassis.errors import FieldError, InvalidError, NotFoundError
from chassis.storage.page_size import bounded
from chassis.storage.retention import Expiry

# shared to record, exclusive to void: without it, a bill and its cancellation that arrive at the
# same time would not see each other, and the bill would stay valid
_LOCK = 5102026117
_SHOWN = (
    Bill.message_id.label("id"),
    Bill.user_id,
    Bill.number_of_items,
    Bill.total_amount,
    Bill.order_id,
    Bill.created_at,
    Bill.voided_at,
)
_LISTED = bounded(_SHOWN, Bill.id.desc())


def record(connection: Connection, bills: Sequence[Mapping[str, Any]]) -> Sequence[RowMapping]:
    """Insert bills, each message id once; return the new ones.

    A bill that was voided before it arrived is recorded as void since then.
    """
    # a statement of its own, so that the next one sees everything committed before the lock
    connection.execute(select(func.pg_advisory_xact_lock_shared(_LOCK)))
    notes = _notes(connection, [bill["message_id"] for bill in bills])
    rows = [{**bill, "voided_at": notes.get(bill["message_id"])} for bill in bills]
    statement = insert(Bill).on_conflict_do_nothing(index_elements=[Bill.message_id])
    return connection.execute(statement.returning(*_SHOWN), rows).mappings().all()


def _notes(connection: Connection, message_ids: Sequence[str]) -> dict[str, Any]:
    ids = func.unnest(message_ids, type_=VoidedBill.message_id.type)
    query = select(VoidedBill.message_id, VoidedBill.voided_at)
    found = connection.execute(query.where(VoidedBill.message_id.in_(select(ids))))
    return {row.message_id: row.voided_at for row in found}


@dataclass(frozen=True)
class VoidBill:
    """A bill that is void.

    Attributes:
        shown: its members in the API; all but `id` and `voided_at` are None before it arrives.
        is_recorded: whether the bill has arrived.
        is_new: whether this call has voided it.
    """

    shown: Mapping[str, Any]
    is_recorded: bool
    is_new: bool


def recorded(connection: Connection, message_ids: Sequence[str]) -> Sequence[RowMapping]:
    """Return the bills of these messages that are recorded, oldest first."""
    ids = func.unnest(message_ids, type_=VoidedBill.message_id.type)
    query = select(*_SHOWN).where(Bill.message_id.in_(select(ids))).order_by(Bill.id)
    return connection.execute(query).mappings().all()


def void(connection: Connection, message_id: str) -> VoidBill:
    """Void the bill of a message, or note that it is void if it has not arrived yet.

    A bill that is void already stays unchanged.
    """
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    valid = update(Bill).where(Bill.message_id == message_id, Bill.voided_at.is_(None))
    voided = connection.execute(valid.values(voided_at=func.now()).returning(*_SHOWN)).mappings()
    if bill := voided.first():
        return VoidBill(dict(bill), is_recorded=True, is_new=True)
    if bills := recorded(connection, [message_id]):
        return VoidBill(dict(bills[0]), is_recorded=True, is_new=False)
    return _note(connection, message_id)


def _note(connection: Connection, message_id: str) -> VoidBill:
    note = insert(VoidedBill).values(message_id=message_id).on_conflict_do_nothing()
    is_new = connection.execute(note).rowcount > 0
    since = _notes(connection, [message_id])[message_id]
    nothing = dict.fromkeys(column.key for column in _SHOWN)
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
) -> Sequence[RowMapping]:
    """Return up to `limit` bills older than the bill `after`, newest first.

    Those that no longer fit into a page have no texts (see `bounded`).

    Raises:
        InvalidError: there is no bill `after`.
    """
    query = select(*_LISTED).order_by(Bill.id.desc()).limit(limit)
    if user_id is not None:
        query = query.where(Bill.user_id == user_id)
    if order_id is not None:
        query = query.where(Bill.order_id == order_id)
    if after is not None:
        query = query.where(Bill.id < _row_id(connection, after))
    return connection.execute(query).mappings().all()


def _row_id(connection: Connection, message_id: str) -> int:
    row_id = connection.execute(select(Bill.id).where(Bill.message_id == message_id)).scalar()
    if row_id is None:
        raise InvalidError([FieldError("after", "is not the id of a bill")])
    return row_id


def get(connection: Connection, message_id: str) -> RowMapping:
    """Return one bill.

    Raises:
        NotFoundError: no bill with this id is recorded, or not yet.
    """
    row = connection.execute(select(*_SHOWN).where(Bill.message_id == message_id)).mappings()
    bill = row.first()
    if bill is None:
        raise NotFoundError(f"There is no bill with the id {message_id}, or not yet.")
    return bill
