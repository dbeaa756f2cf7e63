"""What a file to be imported holds at one of its places, and what makes it no such file."""

from typing import Any, NamedTuple

from chassis.errors import shortened

_LONGEST_SHOWN = 60  # characters


class FileError(Exception):
    """A file that can't be read as a list of orders at all."""


class Record(NamedTuple):
    """What stands at one place of a file; `fault` says what is wrong with it as a whole."""

    place: str
    data: Any
    fault: str | None = None


def quoted(text: str) -> str:
    """Show what a file has: quoted, so that blanks are seen, and with controls escaped."""
    return repr(shortened(text, _LONGEST_SHOWN))
