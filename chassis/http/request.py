"""Reads bodies, queries and headers of requests, and checks them against schemas.

The general limit of a body is `MAX_BODY` in app.py.
"""

from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes
from uuid import UUID

from flask import request
from pydantic import BaseModel, TypeAdapter, ValidationError
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from chassis.errors import FieldError, InvalidError, MalformedJsonError
from chassis.http import caller, context
from chassis.http.problems import too_long
from chassis.http.unread_bodies import has_body
from chassis.schema.decoding import decode, decode_members
from chassis.schema.fields import BigInt
from chassis.schema.validation import field_errors, path, validated

SchemaT = TypeVar("SchemaT", bound=BaseModel)
IdT = TypeVar("IdT", int, str, UUID)
# a thousand ids fit; surrounding white space counts, since Link repeats it
_LONGEST_VALUE = 25_000
_TOO_LONG = f"must have at most {_LONGEST_VALUE:,} characters"
BIGINT: TypeAdapter[int] = TypeAdapter(BigInt)
UUID_KEY: TypeAdapter[UUID] = TypeAdapter(UUID)


class UnsupportedCodingError(UnsupportedMediaType):
    """The body has a Content-Encoding. Source: RFC 9110, sections 8.4 and 15.5.16."""

    def get_headers(self, *arguments: Any, **named: Any) -> list[tuple[str, str]]:
        """Add the supported coding (RFC 9110, section 12.5.3)."""
        return [*super().get_headers(*arguments, **named), ("Accept-Encoding", "identity")]


def body(schema: type[SchemaT]) -> SchemaT:
    """Read the request's JSON object.

    Raises:
        UnsupportedMediaType: another content type than JSON.
        BadRequest: there is no body.
        MalformedJsonError: it is not JSON.
        InvalidError: it does not fit the schema.
    """
    return validated(schema, decode(raw_body()))


def raw_body(limit: int | None = None) -> bytes:
    """Return the request's JSON as it was sent.

    Args:
        limit: the most bytes that this route takes, fewer than the application.

    Raises:
        UnsupportedMediaType: another content type than JSON.
        BadRequest: there is no body.
        RequestEntityTooLarge: it is longer than the route takes.
    """
    if not request.is_json:
        raise UnsupportedMediaType("Send the body as JSON, with Content-Type: application/json.")
    data = whole_body() if limit is None else _limited_body(limit)
    if not data:
        raise BadRequest("The body is empty; send a JSON object.")
    return data


def _limited_body(limit: int) -> bytes:
    # one byte more for a chunked body, which werkzeug truncates at the limit without an error
    chunked = request.content_length is None
    request.max_content_length = limit + 1 if chunked else limit
    try:
        data = whole_body()
    except RequestEntityTooLarge:
        raise RequestEntityTooLarge(too_long(limit)) from None
    if len(data) > limit:  # it was read before, for the Idempotency-Key
        raise RequestEntityTooLarge(too_long(limit))
    return data


def whole_body() -> bytes:
    """Return the request's complete body as it was sent.

    At a broken or missing chunk the server ends the body without an error. So a chunked body counts
    as complete if it is valid JSON: a truncated object, array or string never is.

    Raises:
        UnsupportedMediaType: it is compressed, or in another coding.
        RequestEntityTooLarge: it is longer than the application takes.
        BadRequest: it ended before its Content-Length.
        MalformedJsonError: it is chunked, declared as JSON, and not JSON.
    """
    environ = context.request().environ
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise UnsupportedCodingError(
            "Send the body as it is, without a Content-Encoding such as gzip."
        )
    if not has_body(environ):
        return b""
    data = request.get_data()
    if len(data) < (request.content_length or 0):
        raise BadRequest("The body is shorter than its Content-Length.")
    # werkzeug truncates a chunked body at `max_content_length` without an error
    if request.content_length is None and len(data) == request.max_content_length:
        raise RequestEntityTooLarge
    if request.content_length is None and request.is_json and data:
        _check_chunks(data)
    return data


def _check_chunks(data: bytes) -> None:
    try:
        decode_members(data)
    except MalformedJsonError as error:
        detail = f"{error}; it was sent in chunks, which may be broken, or end too early"
        raise MalformedJsonError(detail) from None


def query(schema: type[SchemaT]) -> SchemaT:
    """Read the query string; each parameter at most once.

    Raises:
        BadRequest: a parameter is not encoded in UTF-8; the message names it.
        InvalidError: parameters are wrong; it names each.
    """
    _check_encoding(request.query_string)
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise InvalidError([FieldError(name, "must be given once") for name in repeated])
    long = [name for name, value in request.args.items() if len(value) > _LONGEST_VALUE]
    if long:
        raise InvalidError([FieldError(name, _TOO_LONG) for name in long])
    return validated(schema, request.args.to_dict())


def _check_encoding(query_string: bytes) -> None:
    # werkzeug replaces bytes that are not UTF-8, and would search for another text
    for parameter in query_string.split(b"&"):
        try:
            unquote_to_bytes(parameter).decode()
        except UnicodeDecodeError:
            name = unquote_to_bytes(parameter.partition(b"=")[0]).decode(errors="backslashreplace")
            detail = f"The query parameter {path([name])} is not encoded in UTF-8."
            raise BadRequest(detail) from None


def identifier(text: str, kind: TypeAdapter[IdT], field: str = "id") -> IdT:
    """Read an id from a path as `kind`, e.g. `BIGINT`; `field` is its name in errors.

    Raises:
        InvalidError: it is not of that kind.
    """
    if len(text) > _LONGEST_VALUE:
        raise InvalidError([FieldError(field, _TOO_LONG)])
    try:
        return kind.validate_python(text)
    except ValidationError as error:
        raise InvalidError([FieldError(field, field_errors(error)[0].detail)]) from None


def caller_name() -> str:
    """Return the name of the request's token, as the gateway sent it; `anonymous` without one."""
    return request.headers.get(caller.HEADER, caller.ANONYMOUS)


def caller_scope() -> str:
    """Return the scope of the caller, whose address the gateway has forwarded."""
    client = request.headers.get("X-Forwarded-For", "").partition(",")[0].strip()
    return caller.scope(caller_name(), client or request.remote_addr or "")
