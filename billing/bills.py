"""Bills: recording and finding them. Knows neither HTTP nor the broker."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, select
from sqlalchemy.dialects.postgresql import insert

from billing.models import Bill
from chassis.errors import FieldError, InvalidError, NotFoundError

_SHOWN = (
    Bill.message_id.label("id"),
    Bill.user_id,
    Bill.number_of_items,
    Bill.total_amount,
    Bill.order_id,
    Bill.created_at,
)


def record(connection: Connection, bills: Sequence[Mapping[str, Any]]) -> set[str]:
    """Insert bills, each message id once; return the message ids that were new."""
    statement = (
        insert(Bill)
        .values(list(bills))
        .on_conflict_do_nothing(index_elements=[Bill.message_id])
        .returning(Bill.message_id)
    )
    return set(connection.execute(statement).scalars())


def find(
    connection: Connection, *, user_id: str | None, after: str | None, limit: int
) -> Sequence[RowMapping]:
    """Return up to `limit` bills, newest first, those before the bill `after`.

    Raises:
        InvalidError: there is no bill `after`.
    """
    query = select(*_SHOWN).order_by(Bill.id.desc()).limit(limit)
    if user_id is not None:
        query = query.where(Bill.user_id == user_id)
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
        NotFoundError: none is recorded under this id, or not yet.
    """
    row = connection.execute(select(*_SHOWN).where(Bill.message_id == message_id)).mappings()
    bill = row.first()
    if bill is None:
        raise NotFoundError(f"There is no bill with the id {message_id}, or not yet.")
    return bill
