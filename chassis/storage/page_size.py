"""How much a page of a list may hold, and how a query fetches no more than that."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, String, case, func, literal_column

MAX_BYTES = 1024 * 1024
"""Of a page as it is sent; a page of one row may be longer."""


def bounded(columns: Iterable[Any], order_by: Any) -> tuple[Any, ...]:
    """Return `columns` for a list, with texts only where the rows before them leave room.

    Where texts of `MAX_BYTES` go before a row and its predecessor, its own texts are NULL and not
    read. `http.paging.page` shows no such row: it ends where the answer has `MAX_BYTES`, and an
    answer is longer than its texts.

    Args:
        columns: the columns to select, labelled or not.
        order_by: the order of the list, of which no two rows have the same place.
    """
    listed = tuple(columns)
    texts = {column for column in listed if isinstance(column.type, String)}
    nothing: ColumnElement[int] = literal_column("0")
    sizes = (func.coalesce(func.octet_length(column), nothing) for column in texts)
    size: ColumnElement[Any] = sum(sizes, start=nothing)
    before = func.sum(size).over(order_by=order_by, rows=(None, -2))
    fits = func.coalesce(before, nothing) < literal_column(str(MAX_BYTES))
    return tuple(
        case((fits, column)).label(column.key) if column in texts else column for column in listed
    )
