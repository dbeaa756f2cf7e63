"""README.md and docs/ agree with what they describe, and with each other."""

import re
from pathlib import Path

import pytest
import yaml

from chassis import VERSION
from chassis.topology_file import read_topology
from tools.drills.catalogue import DRILLS
from tools.stack.__main__ import SECTIONS
from tools.stack.layout import CHECKOUT, PROCESSES

DOCUMENTS = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *(CHECKOUT / "docs").glob("*.md")]
README_LINES = 160
DIRECTORIES = (
    "billing|chassis|customers|docs|gateway|inventory|monitoring|orders|provisioning"
    "|sample-data|tests|tools"
)
PATH = re.compile(rf"(?<![\w./-])((?:{DIRECTORIES})/[\w./-]*\w/?)")
# what the commands of monitoring.md write
WRITTEN = {"monitoring/targets.json", "monitoring/token"}
STACK = (CHECKOUT / "stack").read_text()
ALERTS = yaml.safe_load((CHECKOUT / "monitoring" / "alerts.yml").read_text())


def text_of(name: str) -> str:
    """A document of docs/, or README.md."""
    return (CHECKOUT / name).read_text()


def section(name: str, title: str) -> str:
    """A section of second level of a document, by its title."""
    return text_of(name).partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def anchors(document: Path) -> set[str]:
    """What a link may have behind `#`: the headings, as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in words}


def test_the_readme_is_two_screens_at_most() -> None:
    assert len(text_of("README.md").splitlines()) <= README_LINES


def test_the_picture_has_every_process() -> None:
    picture = text_of("README.md").split("```")[1]
    assert all(process.name in picture for process in PROCESSES)


def test_the_readme_links_to_every_document() -> None:
    linked = set(re.findall(r"\]\(docs/([a-z]+\.md)\)", section("README.md", "Documents")))
    assert linked == {document.name for document in (CHECKOUT / "docs").glob("*.md")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_to_files_and_headings(document: Path) -> None:
    for target in re.findall(r"\]\(([^):]+)\)", document.read_text()):
        file, _, heading = target.partition("#")
        linked = document.parent / file if file else document
        assert linked.exists(), target
        assert not heading or heading in anchors(linked), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_paths_of_the_checkout_exist(document: Path) -> None:
    named = {found.rstrip("/.") for found in PATH.findall(document.read_text())} - WRITTEN
    assert [path for path in sorted(named) if not (CHECKOUT / path).exists()] == []


def test_install_has_the_commands_of_stack() -> None:
    rows = re.findall(r"^\| `\./stack (\w+)", text_of("docs/install.md"), re.MULTILINE)
    assert set(rows) == {name for names in SECTIONS.values() for name in names}


def test_install_names_every_package_that_is_installed() -> None:
    packages = re.search(r"readonly packages=\(([^)]*)\)", STACK)
    assert packages
    assert " ".join(packages[1].split()) in " ".join(text_of("docs/install.md").split())


def test_drills_has_every_drill() -> None:
    table = section("docs/drills.md", "Drills that judge themselves")
    rows = table.partition("| drill | what is broken |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z0-9]+-[a-z-]+)`", rows))
    assert named == {drill.name for drill in DRILLS}


def test_machines_has_the_machines_of_the_topology() -> None:
    text, machines = section("docs/machines.md", "What it needs"), read_topology().machines
    found = re.findall(r"^\| (\S+-vm) \| (\S+) \| (\d+) MB \| (.+) \|$", text, re.MULTILINE)
    rows = {name: (address, int(memory), runs) for name, address, memory, runs in found}
    assert rows.keys() == {machine.name for machine in machines}
    for machine in machines:
        address, memory, runs = rows[machine.name]
        assert (address, memory) == (machine.address.default, machine.role.memory)
        assert all(process.name in runs for process in machine.role.processes)
    total = sum(machine.role.memory for machine in machines) / 1024
    assert f"{total:g} GB" in text
    assert f"{total:g} GB" in section("README.md", "Start")


def test_monitoring_has_every_alert() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section("docs/monitoring.md", "Alerts"), re.MULTILINE)
    alerts = [rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]]
    assert sorted(rows) == sorted(alerts)


def test_the_changelog_begins_with_what_is_unreleased_and_has_the_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", text_of("CHANGELOG.md"), re.MULTILINE)
    assert headings[:2] == ["Unreleased", VERSION]
