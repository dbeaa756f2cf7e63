"""The rows of a topology: takes values from mappings, and names the place of each error.

Provisioning imports it with the system's Python.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from chassis.errors import SettingsError
from chassis.topology import Variable

NAME, VARIABLE = re.compile(r"[a-z][a-z0-9_-]*"), re.compile(r"[A-Z][A-Z0-9_]*")
RowT = TypeVar("RowT")


class TopologyError(SettingsError):
    """An error in the file, with its place."""


class Row:
    """A mapping in the file; keys that are never taken are errors."""

    def __init__(self, place: str, content: object) -> None:
        if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
            raise TopologyError(f"{place} has to be a mapping of names.")
        self.place = place
        self._content = dict(content)
        self._known: dict[str, None] = {}

    def take(self, key: str, default: object = None) -> Any:
        """Return a value."""
        self._known[key] = None
        found = self._content.pop(key, None)
        if found is None and default is None:
            raise TopologyError(f"{self.place} lacks {key}.")
        return default if found is None else found

    def has(self, key: str) -> bool:
        """Return whether the row has a value."""
        self._known[key] = None
        return self._content.get(key) is not None

    def number(self, key: str) -> int:
        """Return a whole number above 0."""
        found = self.take(key)
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise TopologyError(f"{self.place}: {key} has to be a whole number above 0.")
        return found

    def flag(self, key: str) -> bool:
        """Return true or false; false if the key is missing."""
        found = self.take(key, False)
        if not isinstance(found, bool):
            raise TopologyError(f"{self.place}: {key} has to be true or false.")
        return found

    def text(self, key: str) -> str:
        """Return a name."""
        return checked(NAME, self.take(key), f"{self.place}: {key}")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; an empty one if the key is missing."""
        found = self.take(key, [])
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise TopologyError(f"{self.place}: {key} has to be a list of names.")
        return tuple(found)

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of names of variables."""
        return tuple(checked(VARIABLE, n, f"{self.place}: {key}") for n in self.texts(key))

    def variable(self, key: str, ending: str) -> Variable:
        """Return a variable, whose name has this ending, and its default."""
        return variable(f"{self.place}: {key}", self.take(key), ending)

    def optional_variable(self, key: str, ending: str) -> Variable | None:
        """Return a variable and its default; None if the key is missing."""
        return self.variable(key, ending) if self.has(key) else None

    def rows(self, key: str, make: "Callable[[str, Row], RowT]") -> tuple[RowT, ...]:
        """Return the result of `make` for each row of a mapping."""
        return tuple(make(name, row) for name, row in self._rows(key))

    def items(self, key: str) -> Iterator[tuple[str, object]]:
        """Return the names and values of a mapping; none if the key is missing."""
        place = f"{self.place}: {key}" if self.place else key
        yield from Row(place, self.take(key, {}))._content.items()

    def end(self) -> None:
        """Refuse keys that have not been taken. Raises TopologyError."""
        if self._content:
            unknown, known = ", ".join(self._content), ", ".join(self._known)
            place = self.place or "the file"
            raise TopologyError(f"{place} has unknown keys: {unknown}; there are {known}.")

    def _rows(self, key: str) -> "Iterator[tuple[str, Row]]":
        for name, content in self.items(key):
            row = Row(checked(NAME, name, key), content)
            yield name, row


def variable(place: str, content: object, ending: str) -> Variable:
    """Return a variable, whose name has this ending, and its default. Raises TopologyError."""
    if not isinstance(content, dict) or len(content) != 1:
        raise TopologyError(f"{place} has to be a variable with its default: {{NAME: value}}.")
    [(name, default)] = content.items()
    if not isinstance(default, str | int) or isinstance(default, bool):
        raise TopologyError(f"{place} has no default: {{{name}: value}}.")
    if not checked(VARIABLE, name, place).endswith(ending):
        raise TopologyError(f"{place}: the name of the variable has to end with {ending}.")
    return Variable(name, str(default))


def checked(pattern: re.Pattern[str], name: object, place: str) -> str:
    """Return a name of that form. Raises TopologyError."""
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise TopologyError(f"{place}: {name!r} is not a name of the form {pattern.pattern}.")
    return name
