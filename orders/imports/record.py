"""One record of a file to import, and the error for a file without any."""

from typing import Any, NamedTuple

from chassis.errors import shortened

_LONGEST_SHOWN = 60  # characters


class FileError(Exception):
    """The file can't be read as a list of orders."""


class Record(NamedTuple):
    """The data at one place of a file; `fault` is an error of the whole record."""

    place: str
    data: Any
    fault: str | None = None


def quoted(text: str) -> str:
    """Return text of a file in quotes, so that blanks show, and with control characters escaped."""
    return repr(shortened(text, _LONGEST_SHOWN))
