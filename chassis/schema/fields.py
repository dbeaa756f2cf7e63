"""Field types that services share: text that PostgreSQL can store, counts, money.

Numbers arrive as `int` and `Decimal` (see `chassis.schema.decoding`), so that no amount passes
through a binary float. Text is normalized to Unicode's form NFC before its length is checked.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationInfo
from pydantic.functional_validators import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from chassis.errors import MAX_ERRORS

MAX_INTEGER = 2**31 - 1
MAX_BIGINT = 2**63 - 1
MAX_AMOUNT = Decimal("9999999999.99")
_MAX_MARKS = 30
_FIRST_MARK = "\u0300"
_DIGITS = re.compile(r"[+-]?[0-9]{1,64}", re.ASCII)
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,64}(\.[0-9]{1,64})?", re.ASCII)


@dataclass
class Pruned:
    """How many unknown fields were dropped unchecked, so that a refusal is cheap."""

    count: int = 0


class Schema(BaseModel):
    """A schema for input: no unknown fields, no silent conversion."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _prune(cls, data: Any, info: ValidationInfo) -> Any:
        """Of very many unknown fields, keep a few for the error message, and count the others."""
        # not model_fields, a property that takes as long as reading a field
        fields = cls.__pydantic_fields__
        if not isinstance(data, dict) or len(data) <= len(fields) + MAX_ERRORS:
            return data
        known = {field.alias or name for name, field in fields.items()}
        unknown = [name for name in data if name not in known]
        dropped = unknown[MAX_ERRORS:]
        if isinstance(info.context, Pruned):
            info.context.count += len(dropped)
        kept = known | set(unknown[:MAX_ERRORS])
        return {name: value for name, value in data.items() if name in kept}


ABSENT: Any = None
"""The default of a member of a `Change` that can't be null.

The member has its field's type, and yet is None when it is absent: read it from `Change.given`.
"""


class Change(Schema):
    """Changes of something: a member that is absent stays, one that is null becomes empty."""

    refused: ClassVar[frozenset[str]] = frozenset()
    """Members that are read only to be refused."""

    @model_validator(mode="after")
    def _names_something(self) -> "Change":
        if not self.model_fields_set:
            names = [name for name in type(self).model_fields if name not in self.refused]
            detail = f"must have {_alternatives(names)}"
            raise PydanticCustomError("nothing", "{detail}", {"detail": detail})
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The members that are not absent; the way to read a change."""
        return self.model_dump(exclude_unset=True)


def _alternatives(names: Sequence[str]) -> str:
    """Return the names as a list in words, of which at least one is needed."""
    if len(names) == 2:
        return f"{', '.join(names)} or both"
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def text(shortest: int, longest: int) -> AfterValidator:
    """Return a validator that normalizes text to NFC, and checks its length and characters.

    So the same characters are the same text, however they are composed.
    Sources: UAX #15, https://unicode.org/reports/tr15/ (section 13 for the number of marks).
    """

    def read(value: str) -> str:
        # most text is ASCII, which is in NFC and can be encoded
        if value.isascii() and shortest <= len(value) <= longest and "\x00" not in value:
            return value
        # a longer text stays too long: NFC turns four characters into at least one
        normal = _normalized(value) if len(value) <= 4 * longest else value
        if len(normal) > longest:
            raise PydanticCustomError("longest", f"must have at most {longest:,} characters")
        if len(normal) < shortest:
            raise PydanticCustomError("shortest", "must not be empty")
        _check_encodable(normal)
        return _without_nul(normal)

    return AfterValidator(read)


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise PydanticCustomError("nul", "must not contain the character NUL")
    return value


def _check_encodable(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        detail = "must not contain half of a surrogate pair"
        raise PydanticCustomError("surrogate", detail) from None


def _normalized(value: str) -> str:
    # most text is ASCII, or has no character in the range of combining marks
    if value.isascii() or max(value) < _FIRST_MARK:
        return value
    if _has_many_marks(value):
        # sorting them takes the square of their number
        detail = f"must have at most {_MAX_MARKS} combining marks in a row"
        raise PydanticCustomError("marks", detail)
    return unicodedata.normalize("NFC", value)


def _has_many_marks(value: str) -> bool:
    run = 0
    for character in value:
        run = run + 1 if unicodedata.combining(character) else 0
        if run > _MAX_MARKS:
            return True
    return False


def whole_number(low: int, high: int) -> BeforeValidator:
    """Return a validator for a whole number from `low` to `high`, also given as a string."""
    detail = f"must be a whole number from {low:,} to {high:,}"

    def read(value: Any) -> int:
        number = _integer(value)
        if number is None or not low <= number <= high:
            raise PydanticCustomError("whole_number", detail)
        return number

    return BeforeValidator(read)


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Decimal) and value.is_finite() and _is_whole(value):
        return int(value)
    return None


def _is_whole(value: Decimal) -> bool:
    # the size first: 1e999999999 is a number as well, and far too long to write out
    return value.adjusted() < 20 and value == value.to_integral_value()


def _money(value: Any) -> Decimal:
    amount = _amount(value)
    if amount is None or not 0 <= amount <= MAX_AMOUNT:
        detail = f"must be an amount from 0 to {MAX_AMOUNT:,}, like 99.97"
        raise PydanticCustomError("amount", detail)
    cents = amount.quantize(Decimal("0.01"))
    if amount != cents:
        raise PydanticCustomError("cents", "must have at most two decimals")
    return abs(cents)


def _amount(value: Any) -> Decimal | None:
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        return Decimal(value.strip())
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return value if isinstance(value, Decimal) and value.is_finite() else None


def _reference(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**64:
        return str(value)
    raise PydanticCustomError("reference", "must be a string or a whole number")


def _slug(value: Any) -> str:
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        detail = "must be 1 to 64 letters from a to z in either case, digits, hyphens, underscores"
        raise PydanticCustomError("slug", detail)
    return value


def _flag(value: Any) -> bool:
    if value not in ("true", "false"):
        raise PydanticCustomError("flag", "must be true or false")
    return bool(value == "true")


_AS_TEXT = BeforeValidator(_reference)
NO_NUL = AfterValidator(_without_nul)
"""Refuses NUL, the one character that PostgreSQL's text types can't store."""

STRIPPED = StringConstraints(strip_whitespace=True)

Title = Annotated[str, STRIPPED, text(1, 255)]
"""One line of 1 to 255 characters, without white space around it."""

LongText = Annotated[str, text(0, 10_000)]
"""At most 10,000 characters."""

SearchText = Annotated[str, text(0, 255)]
"""A search text: at most 255 characters, including white space."""

Reference = Annotated[str, STRIPPED, text(1, 64), _AS_TEXT]
"""Another system's id: a string or a whole number, 1 to 64 characters as text."""

ShortReference = Annotated[str, STRIPPED, text(1, 50), _AS_TEXT]
"""The same, with 1 to 50 characters as text."""

Count = Annotated[int, whole_number(1, MAX_INTEGER)]
"""A whole number from 1 to 2,147,483,647, also given as a string."""

Money = Annotated[Decimal, BeforeValidator(_money)]
"""An amount with at most two decimals, up to 9,999,999,999.99, also given as a string."""

BigInt = Annotated[int, whole_number(1, MAX_BIGINT)]
"""A positive 64-bit integer, as PostgreSQL's bigint keys are."""

Slug = Annotated[str, BeforeValidator(_slug)]
"""A name that fits into a path and a routing key: 1 to 64 of `a-z A-Z 0-9 - _`."""

Flag = Annotated[bool, BeforeValidator(_flag)]
"""`true` or `false`, as a query string has it."""
