"""Decodes JSON (RFC 8259) in UTF-8: all bodies, messages and files.

Decimals become `Decimal`, so that no amount passes through a binary float. A name may occur once in
an object: with duplicates, some readers take the first value, some the last (RFC 8259, section 4;
RFC 7493, section 2.3).
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from chassis.errors import MalformedJsonError
from chassis.schema.validation import Faults

TWICE = "must be given once"
_LONGEST_INTEGER = 1000
_ENCODINGS = {"utf-8-sig": "begins with a byte order mark (U+FEFF); leave it out"}
_EXPECTED = {
    "Expecting value": "a value is missing",
    "Expecting property name": "a name in double quotes is missing",
    "Expecting ':' delimiter": "a colon is missing",
    "Expecting ',' delimiter": "a comma is missing",
    "Unterminated string": "a string does not end",
    "Invalid control character": "a string has a control character that is not escaped",
    "Invalid \\u": "a string has a \\u without four hexadecimal digits behind it",
    "Invalid \\": "a string has a backslash before a character that needs none",
    "Illegal trailing comma": "a comma has nothing behind it",
    "Extra data": "there is something behind the value",
}
"""Our text for each message of Python's decoder, by the message's beginning."""


class Members(list[tuple[str, Any]]):
    """The members of an object as they were written, including duplicate names."""


class NumberError(ValueError):
    """A number is not valid in JSON, or too long to read; the message is ours."""


class _RepeatedNameError(ValueError):
    """An object has a duplicate name."""


def decode(data: bytes) -> Any:
    """Decode JSON.

    Raises:
        MalformedJsonError: it is not JSON in UTF-8; NaN and Infinity are not.
        InvalidError: a name occurs twice; the error names it and its place.
    """
    try:
        return _decode(data, _JSON)
    except _RepeatedNameError:
        faults = Faults()
        note_repeated(decode_members(data), faults)
        faults.check()
        raise


def decode_members(data: bytes) -> Any:
    """Decode JSON with each object as its `Members`, and all numbers as `Decimal`.

    Raises:
        MalformedJsonError: it is not JSON in UTF-8; NaN and Infinity are not.
    """
    return _decode(data, _MEMBERS)


def note_repeated(document: Any, faults: Faults) -> None:
    """Add each duplicate name of a decoded document to `faults`, with its place."""
    waiting: list[tuple[tuple[int | str, ...], Any]] = [((), document)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, Members):
            _note_repeated(place, value, faults)
            inside = [((*place, name), item) for name, item in value if isinstance(item, list)]
        elif isinstance(value, list):
            inside = [((*place, n), item) for n, item in enumerate(value) if isinstance(item, list)]
        else:
            continue
        waiting.extend(reversed(inside))


def _note_repeated(place: tuple[int | str, ...], members: Members, faults: Faults) -> None:
    times: dict[str, int] = {}
    for name, _value in members:
        times[name] = times.get(name, 0) + 1
        if times[name] == 2:
            faults.add((*place, name), TWICE)


def _decode(data: bytes, decoder: json.JSONDecoder) -> Any:
    encoding = json.detect_encoding(data)
    if encoding != "utf-8":
        other = f"is encoded in {encoding[:6].upper()}; send UTF-8"
        raise MalformedJsonError(_ENCODINGS.get(encoding, other))
    try:
        return decoder.decode(data.decode())
    except UnicodeDecodeError:
        raise MalformedJsonError("is not encoded in UTF-8") from None
    except RecursionError:
        raise MalformedJsonError("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise MalformedJsonError(f"is not JSON: {_complaint(error)}") from None
    except NumberError as error:
        raise MalformedJsonError(f"is not JSON: {error}") from None


def _complaint(error: json.JSONDecodeError) -> str:
    known = (ours for theirs, ours in _EXPECTED.items() if error.msg.startswith(theirs))
    what = next(known, "something is wrong")
    return f"{what}, at line {error.lineno}, column {error.colno}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _RepeatedNameError
    return members


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise NumberError("a number has an exponent out of all bounds") from None


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise NumberError(f"a number has more than {_LONGEST_INTEGER:,} digits")
    return int(text)


def _any_number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        # its exponent is out of bounds; JSON has no infinity, so the two can't be confused
        return Decimal("Infinity")


def _refuse_constant(constant: str) -> NoReturn:
    """Refuse NaN, Infinity and -Infinity, which Python's decoder would take."""
    raise NumberError(f"{constant} is not a number in JSON")


_JSON = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_decimal,
    parse_int=_integer,
    parse_constant=_refuse_constant,
)
_MEMBERS = json.JSONDecoder(
    object_pairs_hook=Members,
    parse_float=_any_number,
    parse_int=_any_number,
    parse_constant=_refuse_constant,
)
