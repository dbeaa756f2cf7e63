"""What is wrong with .env is said in one sentence before anything starts.

tests/long looks at each variable that has a rule.
"""

import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.topology_file import file_of, read_topology
from tests.deployment.platform import Platform
from tests.deployment.vagrant import Vagrant

Project = Callable[[str], Vagrant]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose .env is .env.example with some lines more."""

    def make(lines: str) -> Vagrant:
        vagrant = Vagrant(tmp_path / "project", {})
        env = tmp_path / "project" / ".env"
        env.write_text(env.read_text() + lines)
        return vagrant

    (tmp_path / "project").mkdir()
    return make


def test_lines_are_read_as_by_a_shell_and_a_readable_env_is_reported_once(
    project: Project,
) -> None:
    lines = (
        "\n  # a comment\nexport GATEWAY_PORT='8081' # another\nGATEWAY_VM_IP = \"10.9.8.7\"\r\n"
    )
    vagrant = project(lines + "INVENTORY_API_PORT=8082 # a third\n")
    own = vagrant.home / ".env"
    own.chmod(0o640)
    warning = f"{own} holds passwords, and other users of this machine can read it: chmod 600 {own}"
    assert vagrant.run("validate").count(warning) == 1


def test_an_env_that_others_cannot_read_is_not_reported(platform: Platform) -> None:
    assert "holds passwords" not in platform.vagrant.output


def test_an_error_is_reported_in_one_sentence(project: Project) -> None:
    assert "lacks GATEWAY_VM_IP" in project("GATEWAY_VM_IP=\n").refusal()


def test_without_an_env_file_the_example_is_used_and_named(project: Project) -> None:
    vagrant = project("")
    (vagrant.home / ".env").unlink()
    assert "There is no .env: the variables are those of .env.example." in vagrant.run("validate")


def test_a_machine_is_a_row_of_the_topology(project: Project) -> None:
    vagrant = project("INVENTORY2_VM_IP=192.168.56.16\n")
    (vagrant.home / ".env").chmod(0o644)
    file = vagrant.home / "topology.yml"
    row = "  inventory2-vm:\n    role: inventory\n    address: {INVENTORY2_VM_IP: 192.168.56.15}\n"
    file.write_text(file.read_text().replace("\nroles:", f"\n{row}roles:"))
    said = vagrant.run("status")
    assert "inventory2-vm" in said
    # who can read .env is said by the commands that use what it holds
    assert "holds passwords" not in said
    assert (vagrant.home / ".vagrant" / "upload" / "inventory2-vm.tar").exists()


def test_topology_chooses_the_machines_and_they_get_it_in_one_piece(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vagrant = project("TOPOLOGY=ha\n")
    said = vagrant.run("status")
    expected = read_topology(file_of("ha"))
    assert all(re.search(rf"^{machine.name} ", said, re.MULTILINE) for machine in expected.machines)
    with tarfile.open(vagrant.home / ".vagrant" / "upload" / "witness-vm.tar") as archive:
        content = archive.extractfile("topology.yml")
        assert content is not None
        (tmp_path / "topology.yml").write_bytes(content.read())
    assert read_topology(tmp_path / "topology.yml") == expected
    monkeypatch.setenv("TOPOLOGY", "seven")
    assert "TOPOLOGY=seven: there is no topology.seven.yml." in vagrant.refusal()
