"""Encodes JSON for all services: money as a number with two decimals, times in RFC 3339."""

from decimal import Decimal
from typing import Any

import orjson


def encode(value: Any) -> bytes:
    """Encode `value`, which may hold `Decimal`, `datetime`, `UUID` and `orjson.Fragment`.

    Raises:
        TypeError: it holds a value that JSON can't represent.
    """
    return orjson.dumps(value, default=_encode, option=orjson.OPT_UTC_Z)


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}")
    raise TypeError(f"{type(value).__name__} has no place in JSON")
