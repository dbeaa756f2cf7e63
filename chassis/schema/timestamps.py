"""Points in time in RFC 3339; the error for a wrong one names what it lacks."""

import re
from datetime import datetime, timezone
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

_EXAMPLE = "2024-09-30T18:07:44Z"
_YEARS = "must be in the years 0001 to 9999 of UTC"
_DATE, _CLOCK, _FRACTION = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d", r"(?:\.\d{1,64})?"
_START = rf"{_DATE}[Tt]{_CLOCK}{_FRACTION}"
_TIME = re.compile(rf"{_START}(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_LEAP = re.compile(rf"{_DATE}[Tt]\d\d:\d\d:60.*", re.ASCII)
_LOST_SIGN = re.compile(rf"{_START} \d\d:?\d\d", re.ASCII)
_HINTS = tuple(
    (re.compile(pattern, re.ASCII), detail)
    for pattern, detail in (
        (r"[+-]?\d{5,9}-.*|-\d{4}-.*|0000-.*", _YEARS),
        (_DATE, f"must have a time of day and its offset, too, like {_EXAMPLE}"),
        (rf"{_DATE} .*", f"must have a T between date and time of day, like {_EXAMPLE}"),
        (rf"{_DATE}[Tt]\d\d:\d\d(?:[Zz+-].*)?", f"must have seconds, like {_EXAMPLE}"),
        (_START, "must have its offset behind it: Z, or hours and minutes like +02:00"),
        (rf"{_START}[+-]\d\d(?:\d\d)?", "must have its offset with a colon, like +02:00"),
        (rf"{_START} [Zz+-].*", "must have no space before its offset"),
        (_LOST_SIGN.pattern, "must have + or - before its offset, like +02:00"),
    )
)
_AWARE: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def _moment(value: Any) -> datetime:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise PydanticCustomError("time", _hint(value))
    if value.startswith("0000"):
        raise PydanticCustomError("time", _YEARS)
    if _LEAP.fullmatch(value):
        detail = "has a leap second, which is not known here; write second 59, or the next minute"
        raise PydanticCustomError("time", detail)
    try:
        return _AWARE.validate_python(value).astimezone(timezone.utc)
    except ValidationError:
        raise PydanticCustomError("time", "is a time that does not exist") from None
    except OverflowError:
        raise PydanticCustomError("time", _YEARS) from None


def _query_moment(value: Any) -> datetime:
    if isinstance(value, str) and _LOST_SIGN.fullmatch(value):
        # a plus sign in a query string means a space
        detail = "must have + or - before its offset; in a query, write + as %2B"
        raise PydanticCustomError("time", detail)
    return _moment(value)


def _hint(value: Any) -> str:
    if isinstance(value, str):
        for pattern, detail in _HINTS:
            if pattern.fullmatch(value):
                return detail
    return f"must be a time with its offset, like {_EXAMPLE}"


Moment = Annotated[datetime, BeforeValidator(_moment)]
"""A point in time as RFC 3339 writes it, with its offset; read as UTC."""

QueryMoment = Annotated[datetime, BeforeValidator(_query_moment)]
"""The same in a query string."""
