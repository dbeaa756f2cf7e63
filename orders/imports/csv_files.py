"""CSV files (RFC 4180) of orders, as spreadsheets of any country write them.

The header line shows the separator: a comma, a semicolon or a tab. Unless it is a comma, an amount
may have a decimal comma. Blanks around a field are ignored.
"""

import csv
import io
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence

from orders.imports.record import FileError, Record, quoted

REQUIRED = ("order_id", "customer_id", "total_amount", "status")
OPTIONAL = ("created_at",)
_SEPARATORS = ",;\t"
# at most two decimals: 1,500 could be one thousand five hundred
_DECIMAL_COMMA = re.compile(r"([+-]?[0-9]+),([0-9]{1,2})", re.ASCII)
_COMPLAINTS = {
    "unexpected end of data": "a quoted field does not end",
    "field larger than": f"a field has more than {csv.field_size_limit():,} characters",
    "line contains NUL": "it has the character NUL",
    "new-line character": "a line ends with a carriage return alone",
}
"""Our words for the errors of Python's reader, by the start of its messages."""


def records(content: bytes) -> Iterator[Record]:
    """Yield the records of a file; a malformed one has its fault.

    Raises:
        FileError: it is no CSV file of orders.
    """
    text = _text(content)
    separator = _separator(text)
    # strict: text after a closing quote is an error, not a part of the field
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    header: list[str] | None = None
    while True:
        try:
            row = [field.strip() for field in next(reader)]
        except StopIteration:
            break
        except csv.Error as error:
            yield Record(f"line {line}", None, f"is not CSV: {_complaint(error, separator)}")
            return
        if header is None:
            header = _header(row)
        elif any(row):
            yield _record(f"line {line}", header, row, separator)
        line = reader.line_num + 1
    if header is None:
        raise FileError("the file is empty; its first line must be the header")


def _text(content: bytes) -> str:
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise FileError("the file is encoded in UTF-16; save it as CSV in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(f"line {line}: is not encoded in UTF-8") from None


def _separator(text: str) -> str:
    """Return the separator that splits the first line into the most known names."""
    return max(_SEPARATORS, key=lambda separator: len(_known(text, separator)))


def _known(text: str, separator: str) -> set[str]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        first = next(reader, list[str]())
    except csv.Error:
        return set()
    return {name.strip() for name in first}.intersection(REQUIRED + OPTIONAL)


def _header(names: list[str]) -> list[str]:
    known = REQUIRED + OPTIONAL
    missing = [f"{name!r} is missing" for name in REQUIRED if name not in names]
    unknown = [f"{quoted(name)} is not known" for name in names if name not in known]
    repeated = [f"{name!r} is there twice" for name in known if names.count(name) > 1]
    faults = missing + unknown + repeated
    if faults:
        wanted = ",".join(REQUIRED)
        problems = "; ".join(faults)
        raise FileError(
            f"line 1: {problems}; the header must be {wanted} and, if you like, created_at"
        )
    return names


def _record(place: str, header: Sequence[str], row: Sequence[str], separator: str) -> Record:
    if len(row) < len(header):
        lacking = ", ".join(map(repr, header[len(row) :]))
        return Record(place, None, f"has no field for {lacking}")
    if len(row) > len(header):
        surplus = ", ".join(map(quoted, row[len(header) :]))
        return Record(place, None, f"has more fields than the header: {surplus}")
    # an empty field is an absent one
    data = {name: value for name, value in zip(header, row, strict=True) if value}
    if separator != "," and "total_amount" in data:
        data["total_amount"] = _with_point(data["total_amount"])
    return Record(place, data)


def _with_point(amount: str) -> str:
    match = _DECIMAL_COMMA.fullmatch(amount)
    return f"{match[1]}.{match[2]}" if match else amount


def _complaint(error: csv.Error, separator: str) -> str:
    if "expected after" in str(error):
        return f"something other than {separator!r} follows a quoted field"
    known = (ours for theirs, ours in _COMPLAINTS.items() if str(error).startswith(theirs))
    return next(known, "its quotes or line ends are wrong")
