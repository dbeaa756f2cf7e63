"""How provisioning names the machines in /etc/hosts."""

import subprocess
from pathlib import Path

import pytest

from tools.stack.layout import CHECKOUT

PROGRAM = """
set -euo pipefail
shopt -s lastpipe
source provisioning/steps/hosts.sh
put_file() { cat >"$1.new"; mv "$1.new" "$1"; echo written; }
hosts_file=$0 own_address=A_VM_IP A_VM_IP=10.0.0.1 B_VM_IP=10.0.0.2 C_VM_IP=10.0.0.3
hosts=("$@")
name_machines
"""
THREE = ("a-vm:A_VM_IP", "b-vm:B_VM_IP", "c-vm:C_VM_IP")
NAMED = "10.0.0.2 b-vm # crud-master\n10.0.0.3 c-vm # crud-master\n"


def named(file: Path, *machines: str) -> str:
    """Run the step; return what it says."""
    command = ["bash", "-c", PROGRAM, str(file), *machines]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("127.0.0.1 localhost\n", "127.0.0.1 localhost\n"),
        ("127.0.0.1 localhost", "127.0.0.1 localhost\n"),
        ("10.0.0.9 b-vm # crud-master\n", ""),
        ("", ""),
    ],
)
def test_other_machines_are_named_and_all_other_lines_stay(
    tmp_path: Path, before: str, kept: str
) -> None:
    file = tmp_path / "hosts"
    if before:
        file.write_text(before)
    assert named(file, *THREE) == "written\n"
    assert file.read_text() == kept + NAMED


def test_a_second_run_changes_nothing_wherever_others_have_added_lines(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n" + NAMED + "127.0.1.1 a-vm\n")
    assert named(file, *THREE) == ""


def test_a_machine_that_is_no_longer_there_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n" + NAMED)
    named(file, *THREE[:1])
    assert file.read_text() == "127.0.0.1 localhost\n"
