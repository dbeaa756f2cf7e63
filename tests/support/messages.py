"""Reads the tables and examples of docs/messages.md, and compares messages with them."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tools.stack.layout import CHECKOUT

TEXT = (CHECKOUT / "docs" / "messages.md").read_text()
EVENTS_OF_OTHERS = "ecommerce.order.create"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
Fits = Callable[[Any], bool]
Row = list[str]


def _matches(pattern: re.Pattern[str]) -> Fits:
    return lambda value: isinstance(value, str) and bool(pattern.fullmatch(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


# kinds whose values differ each time
VARYING: dict[str, Fits] = {
    "UUID": _matches(_UUID),
    "time": _matches(_TIME),
    "traceparent": _matches(_TRACEPARENT),
    "request id": _is_text,
    "id": lambda value: _is_whole(value) and value > 0,
    "seconds": lambda value: _is_whole(value) and value > 1_700_000_000,
    "seconds as text": _matches(re.compile(r"\d{10}")),
    "reference": _is_text,
}
FIXED: dict[str, Fits] = {
    "text": _is_text,
    "whole number": _is_whole,
    "amount": _is_number,
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "any object": lambda value: isinstance(value, dict),
}


@dataclass(frozen=True)
class Kind:
    """The kind of a field, in the words of the document."""

    words: str

    @property
    def name(self) -> str:
        """The type, without "or null" and "may be missing"."""
        return re.split(r" or null|, may be missing", self.words)[0]

    @property
    def may_be_missing(self) -> bool:
        """Whether a message may lack it."""
        return self.words.endswith(", may be missing")

    def fits(self, value: Any) -> bool:
        """Whether a value is of this kind."""
        if value is None:
            return " or null" in self.words
        return (VARYING | FIXED)[self.name](value)


Fields = dict[str, Kind]


@dataclass(frozen=True)
class Event:
    """A type of event: its exchange, its sources, its fields, and an example."""

    exchange: str
    type: str
    sources: frozenset[str]
    fields: Fields
    example: Any


def flat(value: Any, fields: Mapping[str, Kind], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a message by its path, except those below `any object`."""
    if path:
        yield path, value
    if path in fields and fields[path].name == "any object":
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flat(inner, fields, f"{path}.{name}" if path else name)
    if isinstance(value, list):
        for inner in value:
            yield from flat(inner, fields, f"{path}[]")


def faults(value: Any, fields: Fields) -> list[str]:
    """The differences between a message and the document."""
    found = [(path, inner) for path, inner in flat(value, fields) if not path.endswith("[]")]
    there = {path for path, _inner in found}
    unknown = [f"{path} is not documented" for path in sorted(there - fields.keys())]
    wrong = [
        f"{path} is {inner!r}, not {fields[path].words}"
        for path, inner in found
        if path in fields and not fields[path].fits(inner)
    ]
    # a line's fields exist only if there are lines
    wanted = {p for p, kind in fields.items() if "[]" not in p and not kind.may_be_missing}
    return [*unknown, *wrong, *(f"{path} is missing" for path in sorted(wanted - there))]


def masked(value: Any, fields: Fields) -> list[tuple[str, str]]:
    """The values of a message, in order, with a placeholder for those that differ each time."""
    return sorted((path, _mask(inner, fields.get(path))) for path, inner in flat(value, fields))


def _mask(value: Any, kind: Kind | None) -> str:
    if kind is not None and kind.name == "any object":
        return json.dumps(value, sort_keys=True)
    if isinstance(value, dict | list):
        return type(value).__name__
    varies = kind is not None and kind.name in VARYING and value is not None
    return kind.name if kind and varies else repr(value)


def section(title: str, level: int = 2) -> str:
    """The text below a heading, up to the next one of its level."""
    heads = re.split(rf"^{'#' * level} (.+)\n", TEXT, flags=re.MULTILINE)
    return dict(zip(heads[1::2], heads[2::2], strict=True))[title]


def rows(text: str, first: str) -> list[Row]:
    """The rows of the table whose first column is called `first`."""
    table = re.search(rf"^\| {first} \|.*\n\|[ |-]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    lines = table[1].splitlines() if table else []
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def names(cell: str) -> list[str]:
    """The words between backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def fields(text: str, first: str = "field") -> Fields:
    """The fields of a table."""
    return {names(row[0])[0]: Kind(row[1]) for row in rows(text, first)}


def example(text: str, title: str = "") -> Any:
    """The first example under a heading of the fourth level, or of all."""
    part = text.partition(f"#### {title}\n")[2] if title else text
    found = re.search(r"^```json\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    assert found, f"no example of {title}"
    return json.loads(found[1])


def _events() -> Iterator[Event]:
    envelope = fields(section("Every message"))
    for exchange in (names(row[0])[0] for row in rows(section("Exchanges"), "exchange")):
        for part in section(f"`{exchange}`").split("\n### "):
            own = envelope | fields(part)
            for row in rows(part, "event"):
                [type_] = names(row[0])
                shown = example(part, f"`{type_}`")
                yield Event(exchange, type_, frozenset(names(row[1])), own, shown)


EVENTS = {event.type: event for event in _events()}
PROPERTIES = fields(section("Every message"), "property")
