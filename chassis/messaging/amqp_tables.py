"""AMQP's tables: makes pika read all that a client may have sent, and write it back unchanged.

pika 1.4 raises for a time after the year 9999 and for arrays nested a thousand deep, and truncates
numbers with a fraction. Such an error ends the connection, the broker delivers the message again,
and no other message ever arrives. After `install`, a value without a Python type is a `RawValue`,
and a message with unreadable properties has a single header, `UNREADABLE`.

Source: AMQP 0-9-1, section 4.2.5.5, and https://www.rabbitmq.com/amqp-0-9-1-errata#section_3
"""

import struct
from dataclasses import dataclass
from typing import Any

import pika
from pika import data, spec

UNREADABLE = "x-unreadable-properties"
_DEEPEST = 16
_TABLE, _ARRAY, _TIME = b"F", b"A", b"T"
_FRACTIONS = {b"f": ">f", b"d": ">d"}
_LENGTH = 4  # bytes
_UNREAD_BYTES = 4096  # of unreadable properties, which are kept
_decode_value, _encode_value = data.decode_value, data.encode_value
_decode_properties = spec.BasicProperties.decode


@dataclass(frozen=True)
class RawValue:
    """A value as it was sent: the letter of its kind, and its bytes."""

    kind: bytes
    bytes: bytes

    def __str__(self) -> str:
        return f"AMQP {self.kind!r}: {self.bytes[:80]!r}"


def install() -> None:
    """Replace pika's functions that read and write tables by those of this module."""
    data.decode_table = decode_table
    data.encode_value = _encode
    spec.BasicProperties.decode = _read  # type: ignore[method-assign]


def decode_table(encoded: bytes, offset: int, depth: int = 0) -> tuple[dict[str | bytes, Any], int]:
    """Return the table at `offset`, and where it ends.

    An unreadable value takes the rest of its table with it, since its end is unknown.
    """
    start, end = _part(encoded, offset)
    table: dict[str | bytes, Any] = {}
    at = start
    while at < end:
        name, at = data.decode_short_string(encoded, at)
        table[name], at = _decode(encoded, at, end, depth)
    return table, end


def _decode(encoded: bytes, at: int, end: int, depth: int) -> tuple[Any, int]:
    """Return the value at `at` of a table that ends at `end`, and where the next one begins."""
    kind, start = encoded[at : at + 1], at + 1
    try:
        value, after = _read_value(encoded, kind, start, depth)
    except Exception:
        value, after = _raw(encoded, kind, start)
    return (value, after) if after <= end else (RawValue(kind, encoded[start:end]), end)


def _read_value(encoded: bytes, kind: bytes, start: int, depth: int) -> tuple[Any, int]:
    if kind in (_TABLE, _ARRAY) and depth >= _DEEPEST:
        return _raw(encoded, kind, start)
    if kind == _TABLE:
        return decode_table(encoded, start, depth + 1)
    if kind == _ARRAY:
        return _decode_array(encoded, start, depth + 1)
    if kind in _FRACTIONS:
        form = _FRACTIONS[kind]
        return struct.unpack_from(form, encoded, start)[0], start + struct.calcsize(form)
    return _decode_value(encoded, start - 1)


def _decode_array(encoded: bytes, offset: int, depth: int) -> tuple[list[Any], int]:
    at, end = _part(encoded, offset)
    values = []
    while at < end:
        value, at = _decode(encoded, at, end, depth)
        values.append(value)
    return values, end


def _part(encoded: bytes, offset: int) -> tuple[int, int]:
    """Return where the contents of a table or an array begin and end."""
    start = offset + _LENGTH
    return start, min(start + struct.unpack_from(">I", encoded, offset)[0], len(encoded))


def _raw(encoded: bytes, kind: bytes, start: int) -> tuple[RawValue, int]:
    """Return a value unread, up to its end if that is known."""
    if kind in (_TABLE, _ARRAY):
        _start, end = _part(encoded, start)
    elif kind == _TIME:
        end = start + struct.calcsize(">Q")
    else:
        end = len(encoded) + 1
    return RawValue(kind, encoded[start:end]), end


def _encode(pieces: list[bytes], value: Any) -> int:
    """Append a value to `pieces`, and return how many bytes it takes."""
    if isinstance(value, RawValue):
        piece = value.kind + value.bytes
    elif isinstance(value, float):
        piece = struct.pack(">cd", b"d", value)
    else:
        return _encode_value(pieces, value)
    pieces.append(piece)
    return len(piece)


def size_of(name: str | bytes, value: Any) -> int:
    """Return how many bytes a header takes in a table.

    Raises:
        Exception: it can't be in a table; pika raises many kinds.
    """
    pieces: list[bytes] = []
    return data.encode_short_string(pieces, name) + _encode(pieces, value)  # type: ignore[arg-type]


def _read(
    properties: pika.BasicProperties, encoded: bytes, offset: int = 0
) -> pika.BasicProperties:
    """Read properties from a frame; never raise, since that would end the connection."""
    try:
        _decode_properties(properties, encoded, offset)  # type: ignore[no-untyped-call]
    except Exception:
        unread = {UNREADABLE: encoded[offset : offset + _UNREAD_BYTES]}
        vars(properties).update(vars(pika.BasicProperties(headers=unread)))
    return properties
