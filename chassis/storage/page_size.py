"""The size limit of a page of a list, and how a query fetches no more than that."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FrameClause,
    FrameClauseType,
    Integer,
    String,
    case,
    func,
    literal_column,
)

MAX_BYTES = 1024 * 1024
"""Of a page as sent; a page of a single row may be longer."""
# rows up to the last but one before a row
_EARLIER = FrameClause(None, 2, FrameClauseType.UNBOUNDED, FrameClauseType.PRECEDING)
# as a literal: each use of a prepared query would have to give a parameter
_EARLIER.upper_bind = literal_column("2", Integer)  # type: ignore[assignment]


def bounded(columns: Iterable[Any], order_by: Any) -> tuple[Any, ...]:
    """Return `columns` for a list, with NULL for texts of rows beyond the size limit.

    If the texts before a row and its predecessor have `MAX_BYTES`, the row's own texts are NULL and
    not read. `http.paging.page` never shows such a row: it ends where the answer has `MAX_BYTES`,
    and an answer is longer than its texts.

    Args:
        columns: the columns to select, labelled or not.
        order_by: the order of the list, which is unique for each row.
    """
    listed = tuple(columns)
    texts = {column for column in listed if isinstance(column.type, String)}
    nothing: ColumnElement[int] = literal_column("0")
    sizes = (func.coalesce(func.octet_length(column), nothing) for column in texts)
    size: ColumnElement[Any] = sum(sizes, start=nothing)
    before = func.sum(size).over(order_by=order_by, rows=_EARLIER)
    fits = func.coalesce(before, nothing) < literal_column(str(MAX_BYTES))
    return tuple(
        case((fits, column)).label(column.key) if column in texts else column for column in listed
    )
