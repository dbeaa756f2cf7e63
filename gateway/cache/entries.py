"""Answers as Redis keeps them: ready bytes, which are neither parsed nor encoded again."""

import struct
import time
from dataclasses import dataclass

_TIMES = struct.Struct("<QI")  # when it was stored, on the monotonic clock; how long it is fresh
_END = b"\n\n"
Fields = list[tuple[str, str]]


@dataclass(frozen=True)
class Entry:
    """A stored answer with status 200.

    Attributes:
        fields: its header fields.
        body: its body.
        age: how long it has been stored, in seconds.
        ttl: how long it is still fresh, in seconds; negative once it is stale.
    """

    fields: Fields
    body: bytes
    age: int
    ttl: int

    def field(self, name: str) -> str | None:
        """Return the value of a header field, by its name in lower case."""
        return next((value for known, value in self.fields if known.lower() == name), None)


def encode(fields: Fields, body: bytes, fresh_seconds: int) -> bytes:
    """Return the bytes of an answer, stored now."""
    times = _TIMES.pack(time.monotonic_ns(), fresh_seconds)
    head = "\n".join(f"{name}: {value}" for name, value in fields)
    return times + head.encode("latin-1") + _END + body


def decode(data: bytes) -> Entry:
    """Return the answer that `encode` has made bytes of."""
    stored, fresh = _TIMES.unpack_from(data)
    head, _, body = data[_TIMES.size :].partition(_END)
    age = (time.monotonic_ns() - stored) // 1_000_000_000
    lines = (line.partition(": ") for line in head.decode("latin-1").split("\n") if line)
    return Entry([(name, value) for name, _, value in lines], body, age, fresh - age)
