"""Keyset pages and their Link header (RFC 8288).

A page ends at `limit` rows or at `MAX_BYTES`, whichever comes first, with at least one row.
"""

from collections.abc import Iterable, Mapping

from flask import Response, request

from chassis.http import links
from chassis.http.response import JSON, CompleteResponse
from chassis.json import encode
from chassis.storage.page_size import MAX_BYTES

Row = Mapping[str, object]


def page(rows: Iterable[Row], limit: int, key: str = "id") -> Response:
    """Answer with the first of `rows`, and with a link to the next page if there are more.

    Args:
        rows: the result of a query with `LIMIT limit + 1`; only needed rows are read.
        limit: how many to show at most.
        key: the field that `after` refers to.
    """
    shown, last = _first(rows, limit)
    response = CompleteResponse(b"[%b]\n" % b",".join(shown), content_type=JSON)
    if last is not None:
        parameters = {**request.args.to_dict(), "limit": limit, "after": last[key]}
        response.headers["Link"] = links.to_next(request.path, parameters)
    return response


def _first(rows: Iterable[Row], limit: int) -> tuple[list[bytes], Row | None]:
    """Return the rows of the page as JSON, and the last of them if there are more behind it."""
    shown: list[bytes] = []
    last: Row | None = None
    octets = len("[]\n")
    for row in rows:
        document = encode(row)
        octets += len(document) + len(",")
        if shown and (len(shown) == limit or octets > MAX_BYTES):
            return shown, last
        shown.append(document)
        last = row
    return shown, None
