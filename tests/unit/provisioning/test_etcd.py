"""How a machine becomes a member of etcd's cluster."""

import subprocess
from pathlib import Path

import pytest

from tools.stack.layout import CHECKOUT

# the answers of etcdctl 3.4.23
MEMBER = "ef97b1b9f6e9dba1, started, {}, http://10.0.0.{}:2380, {}, false\n"
STATUS = "http://10.0.0.1:2379, afafd69d5b5adf59, 3.4.23, 20 kB, false, false, 12, 7, 7, "
PROGRAM = """
set -euo pipefail
shopt -s lastpipe
for script in lib/steps steps/hosts steps/etcd; do source "provisioning/$script.sh"; done
directory=$0 status=$1 members=$2 has_leader=$3
etcdctl() {
  # --endpoints E --dial-timeout S --command-timeout S
  shift 6
  case "$1 $2" in
    'endpoint status') printf '%s' "$status"; return 1 ;;
    'get /') [[ -n $has_leader ]] ;;
    'member list') printf '%s' "$members" ;;
    *) printf '%s\n' "$*" >>"$directory/said" ;;
  esac
}
wait_until() { shift 2; "$@" || { echo 'gave up'; exit 1; }; }
put_file() { cat >"$directory/${1##*/}"; }
mkdir() { :; }
wrote() { return 1; }
enable_unit() { :; }
systemctl() { :; }
MACHINE_NAME=b-vm own_address=B_VM_IP A_VM_IP=10.0.0.1 B_VM_IP=10.0.0.2 C_VM_IP=10.0.0.3
etcd_members=(a-vm:A_VM_IP b-vm:B_VM_IP c-vm:C_VM_IP)
provisioning=$PWD/provisioning
run_etcd
"""
OTHERS = MEMBER.format("a-vm", 1, "http://10.0.0.1:2379")
NEVER_UP = OTHERS + MEMBER.format("b-vm", 2, "")
MADE_ANEW = OTHERS + MEMBER.format("b-vm", 2, "http://10.0.0.2:2379")


def run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the step where etcd gives these answers: of its status, its members; whether it leads."""
    command = ["bash", "-c", PROGRAM, str(directory), *words]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("answers", "phase", "said"),
    [
        (("", "", ""), "new", []),
        ((STATUS, NEVER_UP, "yes"), "existing", []),
        (
            (STATUS, MADE_ANEW, "yes"),
            "existing",
            ["member remove ef97b1b9f6e9dba1"],
        ),
        (
            (STATUS, OTHERS, "yes"),
            "existing",
            ["member add b-vm --peer-urls=http://10.0.0.2:2380"],
        ),
    ],
)
def test_a_machine_begins_the_cluster_or_takes_its_place_in_it(
    tmp_path: Path, answers: tuple[str, str, str], phase: str, said: list[str]
) -> None:
    done = run(tmp_path, *answers)
    assert done.returncode == 0, done.stderr
    assert f"ETCD_INITIAL_CLUSTER_STATE={phase}\n" in (tmp_path / "etcd").read_text()
    file = tmp_path / "said"
    assert (file.read_text().splitlines() if file.exists() else []) == said


def test_no_second_cluster_begins_beside_one_of_which_too_few_are_up(tmp_path: Path) -> None:
    done = run(tmp_path, STATUS, MADE_ANEW, "")
    assert (done.returncode, done.stdout) == (1, "gave up\n")
    assert not (tmp_path / "etcd").exists()
