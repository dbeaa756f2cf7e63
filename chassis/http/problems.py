"""Turns exceptions into problem documents (RFC 9457), by one table."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from flask import Flask, Response, request
from psycopg2.errors import LockNotAvailable, QueryCanceled, ReadOnlySqlTransaction
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from chassis import trace
from chassis.errors import (
    ConflictError,
    InvalidError,
    MalformedJsonError,
    NotFoundError,
    PreconditionFailedError,
    PreconditionRequiredError,
    TooManyRequestsError,
    UnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
    first_line,
    shortened,
)
from chassis.schema.error_texts import OTHER_STATUS, STATUSES
from chassis.storage.database import STATEMENT_TIMEOUT, is_doubtful, is_outage

MEDIA_TYPE = "application/problem+json"
# the phrases of RFC 9110, which older versions of Python lack
_RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}
_LONGEST_DETAIL = 4000  # characters
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """A problem document and the headers that go with it."""

    status: int
    detail: str
    headers: dict[str, str] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the members in the order of RFC 9457, section 3.1."""
        title = _RENAMED.get(self.status) or HTTPStatus(self.status).phrase
        members = {"type": "about:blank", "title": title, "status": self.status}
        current = trace.current()
        request_id = {"request_id": current.request_id} if current else {}
        return {**members, "detail": self.detail, **self.extensions, **request_id}

    def response(self) -> Response:
        """Return the HTTP response."""
        data = orjson.dumps(self.document()) + b"\n"
        return Response(data, self.status, self.headers, content_type=MEDIA_TYPE)


def _invalid(error: InvalidError) -> Problem:
    errors = [{"field": fault.field, "detail": fault.detail} for fault in error.errors]
    left_out = {"errors_left_out": error.left_out} if error.left_out else {}
    return Problem(422, str(error), extensions={"errors": errors, **left_out})


def _later(status: int, error: UnavailableError | TooManyRequestsError) -> Problem:
    headers = {"Retry-After": str(error.retry_after)}
    return Problem(status, str(error), headers, {"cause": error.cause})


def _upstream(status: int, error: UpstreamError) -> Problem:
    return Problem(status, str(error), extensions={"cause": error.cause})


def _operational(error: OperationalError) -> Problem:
    if isinstance(error.orig, QueryCanceled | LockNotAvailable):
        return _statement_timeout(error)
    return _database_unavailable(error)


def _statement_timeout(error: Exception) -> Problem:
    logger.error("statement took too long", extra={"error": first_line(error)})
    detail = (
        f"The database has stopped a statement after {STATEMENT_TIMEOUT // 1000} s; nothing was "
        "changed unless a later read shows it. If that happens again, ask for less at once."
    )
    return Problem(503, detail, {"Retry-After": "10"}, {"cause": "statement_timeout"})


def _database_unavailable(error: Exception) -> Problem:
    logger.error("database unavailable", extra={"error": first_line(error)})
    detail = "The database does not answer; nothing was changed unless a later read shows it."
    return Problem(503, detail, {"Retry-After": "1"}, {"cause": "database_unavailable"})


def _http(error: HTTPException) -> Problem:
    kept = ("Accept-Encoding", "Allow", "Retry-After", "WWW-Authenticate")
    headers = {name: value for name, value in error.get_headers() if name in kept}
    return Problem(error.code or 500, _detail(error), headers)


def _detail(error: HTTPException) -> str:
    """Return our description of an error; werkzeug's own descriptions are not shown."""
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        allowed = ", ".join(sorted(error.valid_methods))
        return f"This path does not take that method; it takes {allowed}."
    if isinstance(error, RequestEntityTooLarge) and _is_werkzeug_text(error):
        return too_long(request.max_content_length)
    return (
        STATUSES.get(error.code or 500, OTHER_STATUS)
        if _is_werkzeug_text(error)
        else _own_description(error)
    )


def _is_werkzeug_text(error: HTTPException) -> bool:
    return error.description is None or error.description == type(error).description


def _own_description(error: HTTPException) -> str:
    return shortened(error.description or "", _LONGEST_DETAIL)


def too_long(limit: int | None) -> str:
    """Return the detail for a body that is too long, with the limit in bytes."""
    if limit is None:
        return "The body is too long."
    return f"The body is longer than {limit:,} bytes ({limit // 1024:,} KiB)."


def _database(error: DBAPIError) -> Problem:
    if isinstance(error.orig, ReadOnlySqlTransaction):
        return _database_read_only(error)
    if error.connection_invalidated or (is_outage(error) and not is_doubtful(error)):
        return _database_unavailable(error)
    return _unexpected(error)


def _database_read_only(error: Exception) -> Problem:
    logger.error("database is read-only", extra={"error": first_line(error)})
    detail = "The database takes no changes now; nothing was changed."
    return Problem(503, detail, {"Retry-After": "1"}, {"cause": "database_unavailable"})


def _unexpected(error: Exception) -> Problem:
    logger.exception("unexpected error", exc_info=error)
    return Problem(500, STATUSES[500])


TABLE: list[tuple[type[Exception], Callable[[Any], Problem]]] = [
    (InvalidError, _invalid),
    (MalformedJsonError, lambda error: Problem(400, f"The body {error}.")),
    (NotFoundError, lambda error: Problem(404, str(error.args[0]))),
    (ConflictError, lambda error: Problem(409, str(error))),
    (PreconditionFailedError, lambda error: Problem(412, str(error))),
    (PreconditionRequiredError, lambda error: Problem(428, str(error))),
    (TooManyRequestsError, lambda error: _later(429, error)),
    (UnavailableError, lambda error: _later(503, error)),
    (UpstreamTimeoutError, lambda error: _upstream(504, error)),
    (UpstreamError, lambda error: _upstream(502, error)),
    (OperationalError, _operational),
    (InterfaceError, _database_unavailable),
    (PoolTimeoutError, _database_unavailable),
    (DBAPIError, _database),
    (HTTPException, _http),
    (Exception, _unexpected),
]


def translate(error: Exception) -> Problem:
    """Return the problem document for `error`, by the table."""
    return next(to_problem(error) for kind, to_problem in TABLE if isinstance(error, kind))


def init_app(app: Flask) -> None:
    """Have `app` answer every exception with its problem document."""
    app.register_error_handler(Exception, lambda error: translate(error).response())
