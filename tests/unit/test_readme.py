"""README.md agrees with what it describes."""

import re

from local.drill.catalogue import DRILLS
from local.layout import CHECKOUT, PROCESSES

README = (CHECKOUT / "README.md").read_text()
EXAMPLE = (CHECKOUT / ".env.example").read_text()
STACK = (CHECKOUT / "stack").read_text()


def written(comment: str) -> dict[str, str]:
    """The lines NAME=value of .env.example that begin with `comment`."""
    return dict(re.findall(rf"^{comment}([A-Z][A-Z_]*)=(.*)$", EXAMPLE, re.MULTILINE))


def tables() -> list[dict[str, str]]:
    """Names and defaults of each of the README's tables of variables."""
    section = README.partition("## Variables\n")[2].partition("\n## ")[0]
    parts = section.split("| --- | --- | --- |")[1:]
    return [dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", part, re.MULTILINE)) for part in parts]


def test_its_tables_have_the_variables_and_defaults_of_the_example() -> None:
    assert tables() == [written(""), written("# ")]


def test_its_table_has_the_commands_of_stack() -> None:
    documented = set(re.findall(r"^\| `\./stack (\w+)", README, re.MULTILINE))
    assert documented == set(re.findall(r"^\./stack (\w+)", STACK, re.MULTILINE))


def test_its_picture_has_every_process() -> None:
    picture = README.split("```")[1]
    assert all(process.name in picture for process in PROCESSES)


def test_its_table_has_every_drill() -> None:
    section = README.partition("## Drills that judge themselves\n")[2].partition("\n## ")[0]
    table = section.partition("| drill | what is broken |")[2]
    named = set(re.findall(r"`([a-z]+-[a-z-]+)`", table.partition("\n\n")[0]))
    assert named == {drill.name for drill in DRILLS}


def test_its_links_and_files_exist() -> None:
    for target in re.findall(r"\]\(([^):]+)\)", README):
        file, _, heading = target.partition("#")
        assert not file or (CHECKOUT / file).exists()
        text = (CHECKOUT / (file or "README.md")).read_text() if heading else ""
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert not heading or heading in [words.lower().replace(" ", "-") for words in headings]


def test_it_names_every_package_that_is_installed() -> None:
    packages = re.search(r"readonly packages=\(([^)]*)\)", STACK)
    assert packages
    assert " ".join(packages[1].split()) in " ".join(README.split())
