"""Conditional requests: they save unchanged answers, and prevent lost updates.

`chassis.preconditions` evaluates the conditions.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from flask import Response, jsonify, request
from werkzeug.exceptions import BadRequest

from chassis.errors import PreconditionFailedError, PreconditionRequiredError
from chassis.http import context
from chassis.preconditions import (
    IF_MATCH,
    IF_NONE_MATCH,
    Check,
    MalformedTagsError,
    Preconditions,
    Tags,
    read_tags,
)

_BYTES = 12


def tagged(response: Response) -> Response:
    """Add the ETag, a hash of the body; answer 304 to GET or HEAD if the client has it.

    A write answers with the same ETag as the next GET. Other headers, such as Link, stay.

    Raises:
        BadRequest: If-Match or If-None-Match are malformed.
        PreconditionFailedError: If-Match of GET or HEAD names another ETag.
    """
    request, tag = context.request(), _tag(response)
    has_conditions = "HTTP_IF_MATCH" in request.environ or "HTTP_IF_NONE_MATCH" in request.environ
    if has_conditions and request.method in ("GET", "HEAD"):
        conditions = _requested()
        conditions.check_match(tag)
        if conditions.if_none_match is not None and conditions.if_none_match.match_weakly(tag):
            response.status_code = 304
            response.set_data(b"")
            del response.headers["Content-Length"], response.headers["Content-Type"]
    response.headers["ETag"] = f'"{tag}"'
    return response


def created(response: Response, location: str) -> Response:
    """Turn an answer into 201 for a resource created at `location`, with its ETag."""
    response.status_code = 201
    response.headers["Location"] = location
    return tagged(response)


def check(
    shown: Callable[[Mapping[Any, Any]], dict[str, Any]] = dict, *, required: str | None = None
) -> Check | None:
    """Return what a row must fulfil before this request changes it; None without a condition.

    Args:
        shown: converts the row to what GET shows.
        required: why the request must have If-Match; None if it is optional.

    Raises:
        BadRequest: If-Match or If-None-Match are malformed.
    """
    conditions = _requested()
    if conditions == Preconditions() and required is None:
        return None

    def checked(row: Mapping[Any, Any]) -> None:
        if required is not None and conditions.if_match is None:
            raise PreconditionRequiredError(required)
        conditions.check_change(_tag(jsonify(shown(row))))

    return checked


def refuse_conditions() -> None:
    """Refuse conditions for a collection, which has no ETag as a whole.

    Raises:
        BadRequest: If-Match or If-None-Match are malformed.
        PreconditionFailedError: the request has such a condition.
    """
    conditions = _requested()
    if (conditions.if_match and not conditions.if_match.is_any) or conditions.if_none_match:
        raise PreconditionFailedError(
            "A condition can't be checked here: the collection as a whole has no ETag. "
            "Nothing was changed."
        )


def _tag(response: Response) -> str:
    return blake2b(response.get_data(), digest_size=_BYTES).hexdigest()


def _requested() -> Preconditions:
    return Preconditions(_tags(IF_MATCH), _tags(IF_NONE_MATCH))


def _tags(name: str) -> Tags | None:
    field = request.headers.get(name)
    if field is None:
        return None
    try:
        return read_tags(field)
    except MalformedTagsError:
        detail = f'{name} must be * or ETags in double quotes, such as "5f3a9c0b", with commas.'
        raise BadRequest(detail) from None
