"""Field types that services share: text as PostgreSQL can store it, counts, money.

Numbers arrive as `int` and `Decimal` (see `chassis.parsing`), so that no amount passes through a
binary float on its way in.
"""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.functional_validators import AfterValidator
from pydantic_core import PydanticCustomError

MAX_INTEGER = 2**31 - 1
MAX_BIGINT = 2**63 - 1
_DIGITS = re.compile(r"[+-]?[0-9]{1,64}", re.ASCII)
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


NO_NUL = AfterValidator(_without_nul)
"""The one character that PostgreSQL's text types can't store is refused."""

Title = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), NO_NUL
]
"""One line of 1 to 255 characters, without white space around it."""

LongText = Annotated[str, StringConstraints(max_length=10_000), NO_NUL]
"""At most 10,000 characters."""

Reference = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    NO_NUL,
    BeforeValidator(_reference),
]
"""Another system's id: a string or a whole number, 1 to 64 characters as text."""

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
