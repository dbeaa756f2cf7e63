"""JSON as all services write it: money as a number of two decimals, times in RFC 3339."""

from decimal import Decimal
from typing import Any

import orjson


def encode(value: Any) -> bytes:
    """Encode `value`, which may hold `Decimal`, `datetime`, `UUID` and `orjson.Fragment`.

    Raises:
        TypeError: it holds something that has no place in JSON.
    """
    return orjson.dumps(value, default=_encode, option=orjson.OPT_UTC_Z)


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}")
    raise TypeError(f"{type(value).__name__} has no place in JSON")
