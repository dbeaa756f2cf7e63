"""Files of orders, CSV (RFC 4180) or JSON (RFC 8259): reads and checks all records."""

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chassis.errors import FieldError, InvalidError, MalformedJsonError
from chassis.schema.decoding import decode
from chassis.schema.timestamps import Moment
from chassis.schema.validation import validated
from orders.allowed_transitions import Status
from orders.imports import csv_files
from orders.imports.record import FileError, Record, quoted
from orders.schemas import NewBareOrder, OrderId


class ImportedOrder(NewBareOrder):
    """A bare order with its `order_id` and its state, which have no defaults here."""

    order_id: OrderId
    status: Status
    created_at: Moment | None = None


class Checked(NamedTuple):
    """The valid orders of a file, and the faults of the others with their places."""

    orders: Sequence[ImportedOrder]
    faults: Sequence[str]


def check(path: Path) -> Checked:
    """Read a file, of the kind that its suffix says, and check each order as the API would.

    Raises:
        FileError: it is no list of orders.
    """
    readers = {".csv": csv_files.records, ".json": _json_records}
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
            faults.append(f"{record.place}: {_reasons(error, record.data)}")
        else:
            orders.append(order)
    return Checked(orders, faults)


def _order(record: Record) -> ImportedOrder:
    if record.fault is not None:
        raise FileError(record.fault)
    return validated(ImportedOrder, record.data)


def _reasons(error: InvalidError, data: Any) -> str:
    more = [f"and {error.left_out:,} more"] if error.left_out else []
    return "; ".join([_reason(fault, data) for fault in error.errors] + more)


def _reason(fault: FieldError, data: Any) -> str:
    # an error of the whole record has no field
    if not fault.field:
        return fault.detail
    given = data.get(fault.field) if isinstance(data, dict) else None
    shown = f" (it is {quoted(given)})" if isinstance(given, str) else ""
    return f"{fault.field}: {fault.detail}{shown}"


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
