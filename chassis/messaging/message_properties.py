"""The properties of a message as AMQP encodes them.

Those of our own messages are read and written in one pass; all others are left to pika, which takes
several times as long.

Source: AMQP 0-9-1, sections 4.2.5.5 and 4.2.6.1.
"""

import struct
from typing import Any

import pika

from chassis.messaging.message import Message
from chassis.messaging.short_strings import as_sent

_LONG, _FLAGS = struct.Struct(">L"), struct.Struct(">H")
_TIME = struct.Struct(">Q")
# content type, headers, delivery mode, message id, timestamp: the properties of our messages
_OURS = 1 << 15 | 1 << 13 | 1 << 12 | 1 << 7 | 1 << 6
_PERSISTENT = b"\x02"


def read(encoded: bytes) -> pika.BasicProperties:
    """Read the properties of a message; those of another client are pika's to read."""
    if _FLAGS.unpack_from(encoded)[0] == _OURS:
        try:
            return _our_properties(encoded)
        except (_OtherError, IndexError, struct.error, UnicodeDecodeError):
            pass
    properties = pika.BasicProperties()
    properties.decode(encoded)
    return properties


class _OtherError(Exception):
    """The properties have the same names as ours, but other kinds of values."""


def _our_properties(encoded: bytes) -> pika.BasicProperties:
    at = 3 + encoded[2]
    content_type = encoded[3:at].decode()
    end = at + 4 + _LONG.unpack_from(encoded, at)[0]
    headers, mode = _texts(encoded, at + 4, end), encoded[end]
    at = end + 2 + encoded[end + 1]
    message_id = encoded[end + 2 : at].decode()
    if at + 8 != len(encoded):
        raise _OtherError
    return pika.BasicProperties(
        content_type=content_type,
        headers=headers,
        delivery_mode=mode,
        message_id=message_id,
        timestamp=_TIME.unpack_from(encoded, at)[0],
    )


def _texts(encoded: bytes, at: int, end: int) -> dict[str, str]:
    """Return a table of texts."""
    table = {}
    while at < end:
        value = at + 1 + encoded[at]
        if encoded[value : value + 1] != b"S":
            raise _OtherError
        after = value + 5 + _LONG.unpack_from(encoded, value + 1)[0]
        table[encoded[at + 1 : value].decode()] = encoded[value + 5 : after].decode()
        at = after
    if at != end:
        raise _OtherError
    return table


def written(message: Message, time: int) -> bytes | None:
    """Return the properties of a message to publish; None if pika must encode them.

    Args:
        message: what to publish; it is persistent.
        time: its timestamp, in seconds since 1970.
    """
    if message.properties:
        return None
    id, kind = message.id.encode(errors="surrogateescape"), message.content_type.encode()
    headers = _table(message.headers)
    if headers is None or len(id) > 255 or len(kind) > 255:
        return None
    return b"".join(
        (
            *(_FLAGS.pack(_OURS), bytes((len(kind),)), kind),
            *(_LONG.pack(len(headers)), headers, _PERSISTENT, bytes((len(id),)), id),
            _TIME.pack(time),
        )
    )


def _table(headers: Any) -> bytes | None:
    """Return headers that are texts as a table; None if others are among them."""
    parts: list[bytes] = []
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            return None
        key, text = name.encode(), value.encode()
        if len(key) > 255:
            return None
        parts += (bytes((len(key),)), key, b"S", _LONG.pack(len(text)), text)
    return b"".join(parts)


def for_pika(message: Message, time: int) -> pika.BasicProperties:
    """Return the properties of any message to publish; see `written`."""
    ours = {
        "content_type": message.content_type,
        "delivery_mode": pika.DeliveryMode.Persistent,
        "message_id": as_sent(message.id),
        "timestamp": time,
        "headers": dict(message.headers),
    }
    return pika.BasicProperties(**{**ours, **message.properties})
