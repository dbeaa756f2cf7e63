"""Files of orders, CSV (RFC 4180) or JSON (RFC 8259): reads and checks all records."""

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

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


class WrongOrdersError(Exception):
    """Some orders of a file are wrong; `faults` names each with its place and reason."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(f"{len(faults)} of its orders are wrong; none is loaded")
        self.faults = faults


def read(path: Path) -> Sequence[Record]:
    """Read a file, of the kind that its suffix says.

    Raises:
        FileError: it is no list of orders.
    """
    readers = {".csv": csv_files.records, ".json": _json_records}
    records = readers.get(path.suffix.lower())
    if records is None:
        raise FileError("the file's name must end with .csv or .json")
    try:
        return list(records(path.read_bytes()))
    except OSError as error:
        raise FileError(f"the file can't be read: {error.strerror}") from None


def check(records: Iterable[Record]) -> Iterator[ImportedOrder]:
    """Check each order as the API would, and yield the orders before the first wrong one.

    Raises:
        WrongOrdersError: some are wrong; all have been checked.
    """
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
            if not faults:
                yield order
    if faults:
        raise WrongOrdersError(faults)


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
