"""JSON objects of any shape, checked against the limits of PostgreSQL's jsonb.

Sources: https://www.postgresql.org/docs/15/datatype-json.html (characters),
https://www.postgresql.org/docs/15/datatype-numeric.html (digits), RFC 7493, section 2.3 (names).
"""

from decimal import Decimal
from typing import Any

from chassis.errors import FieldError, InvalidError, MalformedJsonError
from chassis.schema.decoding import Members, decode_members, note_repeated
from chassis.schema.validation import Faults

MAX_DEPTH = 100
MAX_DIGITS = 262_144
"""Of all numbers together, written out: the nine bytes 1e131071 take 131,072 digits in jsonb."""
_DIGITS_BEFORE, _DIGITS_AFTER = 131_072, 16_383


def check(data: bytes) -> None:
    """Check that `data` is a JSON object that jsonb can hold, with every digit of its numbers.

    Raises:
        MalformedJsonError: it is not JSON in UTF-8, or has more than `MAX_DEPTH` levels.
        InvalidError: it is no object, or has values that jsonb can't hold; names the first ten.
    """
    document = decode_members(data)
    if not isinstance(document, Members):
        raise InvalidError([FieldError("", "must be a JSON object")])
    inspection = _Inspection()
    inspection.visit(document)
    note_repeated(document, inspection.faults)
    inspection.faults.check()


class _Inspection:
    """Walks through a document once and notes each fault with its path."""

    def __init__(self) -> None:
        self.faults = Faults()
        self._path: list[int | str] = []
        self._digits = 0

    def visit(self, value: object) -> None:
        """Inspect a value and everything in it."""
        if isinstance(value, str):
            self._text(value)
        elif isinstance(value, Decimal):
            self._number(value)
        elif isinstance(value, list):
            self._container(value)

    def _container(self, value: list[Any]) -> None:
        if len(self._path) == MAX_DEPTH:
            raise MalformedJsonError(f"is nested more than {MAX_DEPTH} levels deep")
        if isinstance(value, Members):
            self._object(value)
        else:
            self._array(value)

    def _object(self, members: Members) -> None:
        for name, value in members:
            self._path.append(name)
            self._text(name)
            self.visit(value)
            self._path.pop()

    def _array(self, values: list[Any]) -> None:
        for index, value in enumerate(values):
            self._path.append(index)
            self.visit(value)
            self._path.pop()

    def _note(self, detail: str) -> None:
        self.faults.add(self._path, detail)

    def _text(self, text: str) -> None:
        if "\0" in text:
            self._note("must not contain the character NUL")
        try:
            text.encode()
        except UnicodeEncodeError:
            self._note("must not contain half of a surrogate pair")

    def _number(self, number: Decimal) -> None:
        before, after = _extent(number)
        if before > _DIGITS_BEFORE or after > _DIGITS_AFTER:
            self._note(f"must have at most {_DIGITS_BEFORE:,} digits, {_DIGITS_AFTER:,} decimals")
            return
        counted, self._digits = self._digits, self._digits + before + after
        if counted <= MAX_DIGITS < self._digits:
            self._note(f"is too much: all numbers, written out, have over {MAX_DIGITS:,} digits")


def _extent(number: Decimal) -> tuple[int, int]:
    """Return how many digits a number has before and after the decimal point, written out."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        return _DIGITS_BEFORE + 1, 0
    return max(number.adjusted() + 1, 1), max(-exponent, 0)
