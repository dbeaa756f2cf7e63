"""Field types that services share: text as PostgreSQL can store it, counts, money.

Numbers arrive as `int` and `Decimal` (see `chassis.parsing`), so that no amount passes through a
binary float on its way in.
"""

import re
from datetime import datetime, timezone
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.functional_validators import AfterValidator
from pydantic_core import PydanticCustomError

MAX_INTEGER = 2**31 - 1
MAX_BIGINT = 2**63 - 1
_DIGITS = re.compile(r"[+-]?[0-9]{1,64}", re.ASCII)
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,64})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DECIMAL = re.compile(r"[+-]?[0-9]{1,64}(\.[0-9]{1,64})?", re.ASCII)


class Schema(BaseModel):
    """What comes in: no field that is not named, no silent conversion."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise PydanticCustomError("nul", "must not contain the character NUL")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Decimal) and value.is_finite() and _is_whole(value):
        return int(value)
    raise PydanticCustomError("whole_number", "must be a whole number")


def _is_whole(value: Decimal) -> bool:
    # the size first: 1e999999999 is a number too, and far too long to write out
    return value.adjusted() < 20 and value == value.to_integral_value()


def _money(value: Any) -> Decimal:
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = Decimal(value.strip())
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise PydanticCustomError("amount", "must be an amount, like 99.97")
    return value


def _cents(value: Decimal) -> Decimal:
    cents = value.quantize(Decimal("0.01"))
    if value != cents:
        raise PydanticCustomError("cents", "must have at most two decimals")
    return abs(cents)


def _reference(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**64:
        return str(value)
    raise PydanticCustomError("reference", "must be a string or a whole number")


def _slug(value: Any) -> str:
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        raise PydanticCustomError("slug", "must be 1 to 64 of a-z A-Z 0-9 - _")
    return value


_AWARE: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)


def _moment(value: Any) -> datetime:
    try:
        if isinstance(value, str) and _TIME.fullmatch(value):
            return _AWARE.validate_python(value).astimezone(timezone.utc)
    except (ValidationError, OverflowError):
        raise PydanticCustomError("time", "is a time that does not exist") from None
    # a plus sign in a query string means a space
    detail = "must be a time with its offset, like 2024-09-30T18:07:44Z (write + as %2B)"
    raise PydanticCustomError("time", detail)


def _flag(value: Any) -> bool:
    if value not in ("true", "false"):
        raise PydanticCustomError("flag", "must be true or false")
    return bool(value == "true")


_AS_TEXT = BeforeValidator(_reference)
NO_NUL = AfterValidator(_without_nul)
"""The one character that PostgreSQL's text types can't store is refused."""

Title = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), NO_NUL
]
"""One line of 1 to 255 characters, without white space around it."""

LongText = Annotated[str, StringConstraints(max_length=10_000), NO_NUL]
"""At most 10,000 characters."""

SearchText = Annotated[str, StringConstraints(strip_whitespace=False, max_length=255), NO_NUL]
"""What is looked for in a line: at most 255 characters, white space included."""

Reference = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    NO_NUL,
    _AS_TEXT,
]
"""Another system's id: a string or a whole number, 1 to 64 characters as text."""

ShortReference = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=50),
    NO_NUL,
    _AS_TEXT,
]
"""The same, with 1 to 50 characters as text."""

WholeNumber = Annotated[int, BeforeValidator(_integer)]
"""A whole number, also given as a string; its bounds are the field's to say."""

Count = Annotated[int, Field(ge=1, le=MAX_INTEGER), BeforeValidator(_integer)]
"""A whole number from 1 to 2,147,483,647, also given as a string."""

Money = Annotated[
    Decimal,
    Field(ge=Decimal(0), le=Decimal("9999999999.99")),
    AfterValidator(_cents),
    BeforeValidator(_money),
]
"""An amount with at most two decimals, up to 9,999,999,999.99, also given as a string."""

BigInt = Annotated[int, Field(ge=1, le=MAX_BIGINT), BeforeValidator(_integer)]
"""A positive 64-bit integer, as PostgreSQL's bigint keys are."""

Slug = Annotated[str, BeforeValidator(_slug)]
"""A name that fits into a path and a routing key: 1 to 64 of `a-z A-Z 0-9 - _`."""

Moment = Annotated[datetime, BeforeValidator(_moment)]
"""A point in time as RFC 3339 writes it, with its offset; read as UTC."""

Flag = Annotated[bool, BeforeValidator(_flag)]
"""`true` or `false`, as a query string has it."""
