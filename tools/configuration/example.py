"""The variables as .env.example has them: sections, comments and values."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.stack.layout import CHECKOUT

FILE = CHECKOUT / ".env.example"
SECTION = "## "
COMMENT = "# "
_ASSIGNMENT = re.compile(r"(# )?([A-Z][A-Z_]*)=(.*)")


@dataclass(frozen=True)
class Variable:
    """A variable of the file.

    Attributes:
        meaning: the comment above it.
        is_set: whether it has this value without a .env; otherwise the value is an example.
    """

    section: str
    name: str
    value: str
    meaning: str
    is_set: bool


def variables(text: str) -> Iterator[Variable]:
    """The variables in the order of the file. Raises ValueError for one without a comment."""
    section, comments = "", list[str]()
    for line in text.splitlines():
        if found := _ASSIGNMENT.fullmatch(line):
            commented, name, value = found.groups()
            if not comments:
                raise ValueError(f"{name} has no comment in {FILE.name}")
            yield Variable(section, name, value, " ".join(comments), not commented)
            comments = []
        elif line.startswith(SECTION):
            section = line.removeprefix(SECTION)
        else:
            comments = [*comments, line.removeprefix(COMMENT)] if line else []
