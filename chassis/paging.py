"""Keyset pages and their Link header (RFC 8288)."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from flask import Response, jsonify, request
from pydantic import Field
from sqlalchemy import RowMapping

from chassis.fields import BigInt, Count, Schema

Limit = Annotated[Count, Field(le=1000)]


class Page(Schema):
    """Query parameters of a list: at most `limit` rows (1 to 1000), after the key `after`."""

    limit: Limit = 100
    after: BigInt | None = None


def page(
    rows: Sequence[RowMapping | dict[str, Any]], limit: int, key: str = "id", more: bool = False
) -> Response:
    """Answer with the first `limit` of `rows`, and a link to the next page if there are more.

    Args:
        rows: what a query with `LIMIT limit + 1` found.
        limit: how many to show.
        key: the field that `after` refers to.
        more: whether there are more than `rows`, if they were cut before `limit`.
    """
    shown = rows[:limit]
    response = jsonify([dict(row) for row in shown])
    if more or len(rows) > limit:
        parameters = {**request.args.to_dict(), "limit": limit, "after": shown[-1][key]}
        response.headers["Link"] = f'<{quote(request.path)}?{urlencode(parameters)}>; rel="next"'
    return response
