"""docs/development.md names each dependency with its reason."""

import re

from tools.stack.layout import CHECKOUT

DEVELOPMENT = (CHECKOUT / "docs" / "development.md").read_text()
SECTION = DEVELOPMENT.partition("\n## Dependencies\n")[2].partition("\n## ")[0]


def required() -> set[str]:
    """Every package that a requirements file names."""
    lines = [
        line
        for file in ("requirements.in", "requirements-dev.in")
        for line in (CHECKOUT / file).read_text().splitlines()
    ]
    return {line for line in lines if line and line[0] not in "#-"}


def explained() -> list[str]:
    """The packages of the tables whose job and reason are both filled in."""
    rows = re.findall(r"^\| ([\w, -]+) \| ([^|]+) \| ([^|]+) \|$", SECTION, re.MULTILINE)
    packages = [row[0] for row in rows if row[0] != "package" and row[1].strip("- ")]
    return [name for cell in packages for name in cell.split(", ")]


def test_each_dependency_is_named_once_with_its_reason_and_no_other_is() -> None:
    assert sorted(explained()) == sorted(required())
