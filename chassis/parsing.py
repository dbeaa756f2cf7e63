"""What a request says, read once and checked against a schema."""

import json
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from flask import request
from pydantic import BaseModel, TypeAdapter, ValidationError
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from chassis.errors import FieldError, InvalidError
from chassis.fields import BigInt

SchemaT = TypeVar("SchemaT", bound=BaseModel)
IdT = TypeVar("IdT", int, str, UUID)
BIGINT: TypeAdapter[int] = TypeAdapter(BigInt)
UUID_KEY: TypeAdapter[UUID] = TypeAdapter(UUID)
_LONGEST_INTEGER = 1000
_LONGEST_PATH = 200
_RENAMED = {"extra_forbidden": "is not known here", "missing": "is required"}


def body(schema: type[SchemaT]) -> SchemaT:
    """Read the request's JSON object.

    Raises:
        UnsupportedMediaType: another content type than JSON.
        BadRequest: no body, or one that is not JSON.
        InvalidError: JSON, but not what the schema asks for.
    """
    return validated(schema, decoded(raw_body()))


def raw_body(limit: int | None = None) -> bytes:
    """Return the request's JSON as it was sent.

    Args:
        limit: bytes that this route takes, fewer than the application.

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
    # one byte more of a chunked body, of which werkzeug gives so many bytes and says nothing
    chunked = request.content_length is None
    request.max_content_length = limit + 1 if chunked else limit
    try:
        return whole_body()
    except RequestEntityTooLarge:
        detail = f"The body is longer than {limit:,} bytes ({limit // 1024} KiB)."
        raise RequestEntityTooLarge(detail) from None


def whole_body() -> bytes:
    """Return the request's body as it was sent, none of it missing.

    Raises:
        RequestEntityTooLarge: it is longer than the application takes.
        BadRequest: it ended before its Content-Length.
    """
    data = request.get_data()
    if len(data) < (request.content_length or 0):
        raise BadRequest("The body is shorter than its Content-Length.")
    # of a chunked body werkzeug gives the first `max_content_length` bytes and says nothing
    if request.content_length is None and len(data) == request.max_content_length:
        raise RequestEntityTooLarge
    return data


def decoded(data: bytes, decoder: json.JSONDecoder | None = None) -> Any:
    """Decode JSON (RFC 8259), with decimals as `Decimal` unless `decoder` reads them otherwise.

    Raises:
        BadRequest: it is not JSON in UTF-8; NaN and Infinity are not.
    """
    try:
        return (decoder or _JSON).decode(data.decode())
    except UnicodeDecodeError:
        raise BadRequest("The body is not encoded in UTF-8.") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number has an exponent out of all bounds") from None


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise ValueError(f"a number has more than {_LONGEST_INTEGER} digits")
    return int(text)


def refuse_constant(constant: str) -> NoReturn:
    """Refuse NaN, Infinity and -Infinity, which Python's decoder would take."""
    raise ValueError(f"{constant} is not a JSON number")


_JSON = json.JSONDecoder(parse_float=_decimal, parse_int=_integer, parse_constant=refuse_constant)


def validated(schema: type[SchemaT], data: Any) -> SchemaT:
    """Check `data` against `schema`.

    Raises:
        InvalidError: naming each field that is wrong.
    """
    if not isinstance(data, dict):
        raise InvalidError([FieldError("", "must be a JSON object")])
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise InvalidError(field_errors(error)) from None


def field_errors(error: ValidationError) -> list[FieldError]:
    """Translate pydantic's findings, without the input, which may be secret or large."""
    return [
        FieldError(path(fault["loc"]), _RENAMED.get(fault["type"], _plain(fault["msg"])))
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def path(location: Iterable[int | str]) -> str:
    """Name a place in a document, at most 200 characters of it, as UTF-8 can write it."""
    text = ".".join(str(part) for part in location)
    if len(text) > _LONGEST_PATH:
        text = text[: _LONGEST_PATH - 1] + "…"
    return text.encode(errors="backslashreplace").decode()


def _plain(message: str) -> str:
    for subject in ("Input ", "String ", "Value "):
        message = message.removeprefix(subject)
    return message[:1].lower() + message[1:]


def query(schema: type[SchemaT]) -> SchemaT:
    """Read the query string; each parameter at most once.

    Raises:
        InvalidError: naming each parameter that is wrong.
    """
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise InvalidError([FieldError(name, "must be given once") for name in repeated])
    return validated(schema, request.args.to_dict())


def identifier(text: str, kind: TypeAdapter[IdT], field: str = "id") -> IdT:
    """Read a key from a path as `kind`, e.g. `BIGINT`; `field` is the path's name for it.

    Raises:
        InvalidError: it is not one.
    """
    try:
        return kind.validate_python(text)
    except ValidationError as error:
        raise InvalidError([FieldError(field, field_errors(error)[0].detail)]) from None
