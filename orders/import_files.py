"""Files of orders, CSV (RFC 4180) or JSON (RFC 8259), read and checked as a whole."""

import csv
import io
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chassis.errors import InvalidError, MalformedJsonError
from chassis.json_decoding import decode
from chassis.moments import Moment
from chassis.validation import validated
from orders.schemas import NewBareOrder, OrderId

REQUIRED = ("order_id", "customer_id", "total_amount", "status")
OPTIONAL = ("created_at",)


class FileError(Exception):
    """A file that can't be read as a list of orders at all."""


class ImportedOrder(NewBareOrder):
    """A bare order with its name, so that it can be told apart, and when it was made."""

    order_id: OrderId
    created_at: Moment | None = None


class Record(NamedTuple):
    """What stands at one place of a file; `fault` says what is wrong with it as a whole."""

    place: str
    data: Any
    fault: str | None = None


class Checked(NamedTuple):
    """What is good in a file, and what is not, each with its place."""

    orders: Sequence[ImportedOrder]
    faults: Sequence[str]


def check(path: Path) -> Checked:
    """Read a file, by its name's end, and check each order in it as the API would.

    Raises:
        FileError: it is no list of orders.
    """
    readers = {".csv": _csv_records, ".json": _json_records}
    read = readers.get(path.suffix.lower())
    if read is None:
        raise FileError("the file's name must end with .csv or .json")
    try:
        return _checked(read(path.read_bytes()))
    except OSError as error:
        raise FileError(f"the file can't be read: {error.strerror}") from None


def _checked(records: Iterable[Record]) -> Checked:
    orders: list[ImportedOrder] = []
    faults: list[str] = []
    places: dict[str, str] = {}
    for record in records:
        try:
            order = _order(record)
            first = places.setdefault(order.order_id, record.place)
            if first != record.place:
                raise FileError(f"order_id: {order.order_id!r} is in {first}, too")
        except FileError as error:
            faults.append(f"{record.place}: {error}")
        except InvalidError as error:
            faults.append(f"{record.place}: {_reasons(error)}")
        else:
            orders.append(order)
    return Checked(orders, faults)


def _order(record: Record) -> ImportedOrder:
    if record.fault is not None:
        raise FileError(record.fault)
    return validated(ImportedOrder, record.data)


def _reasons(error: InvalidError) -> str:
    # what is wrong with the whole has no field
    return "; ".join(f"{field}: {detail}" if field else detail for field, detail in error.errors)


def _csv_records(content: bytes) -> Iterator[Record]:
    # strict: what follows a closing quote is a fault, and not a part of the field
    reader = csv.reader(io.StringIO(_text(content), newline=""), strict=True)
    line = 1
    header: list[str] | None = None
    while True:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield Record(f"line {line}", None, f"is not CSV: {error}")
            return
        if header is None:
            header = _header(row)
        elif row:
            yield _csv_record(f"line {line}", header, row)
        line = reader.line_num + 1
    if header is None:
        raise FileError("the file is empty; its first line must be the header")


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(f"line {line}: is not encoded in UTF-8") from None


def _header(row: Sequence[str]) -> list[str]:
    names = [name.strip() for name in row]
    missing = [name for name in REQUIRED if name not in names]
    others = [name for name in names if name not in REQUIRED + OPTIONAL]
    if missing or others or len(set(names)) < len(names):
        wanted = ",".join(REQUIRED)
        raise FileError(f"line 1: the header must be {wanted} and, if you like, created_at")
    return names


def _csv_record(place: str, header: Sequence[str], row: Sequence[str]) -> Record:
    if len(row) != len(header):
        return Record(place, None, f"has {len(row)} fields, and the header {len(header)}")
    # an empty field says nothing, but for those that have to say something
    named = zip(header, row, strict=True)
    data = {name: value for name, value in named if value or name in REQUIRED[:3]}
    return Record(place, data)


def _json_records(content: bytes) -> Iterator[Record]:
    try:
        document = decode(content.removeprefix(BOM_UTF8))
    except MalformedJsonError as error:
        raise FileError(f"the file {error}") from None
    except InvalidError as error:
        raise FileError(f"the file: {error}") from None
    if not isinstance(document, list):
        raise FileError("the file must be a JSON array of objects")
    for number, data in enumerate(document, start=1):
        yield Record(f"item {number}", data)
