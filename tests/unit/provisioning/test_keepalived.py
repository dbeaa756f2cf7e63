"""The configuration of keepalived."""

import subprocess
from pathlib import Path

from tools.stack.layout import CHECKOUT

PROGRAM = """
set -euo pipefail
shopt -s lastpipe
for script in lib/steps steps/hosts steps/keepalived; do source "provisioning/$script.sh"; done
provisioning=$PWD/provisioning directory=$0 shown=$1
put_file() { cat >"$directory/${1##*/}"; }
give_up() { printf '%s\\n' "$*"; exit 1; }
wrote() { return 1; }
enable_unit() { :; }
systemctl() { :; }
ip() { [[ -z $shown ]] || printf '%s\\n' "$shown"; }
role=gateway is_first='' own_address=B_VM_IP A_VM_IP=10.0.0.1 B_VM_IP=10.0.0.2 GATEWAY_VIP=10.0.0.9
shared_address=GATEWAY_VIP server_ports=(GATEWAY_PORT) GATEWAY_PORT=8080 peers=(a-vm:A_VM_IP)
run_keepalived
"""
SHOWN = "3: eth1    inet 10.0.0.2/24 brd 10.0.0.255 scope global eth1\\       valid_lft forever"


def configured(directory: Path, shown: str) -> subprocess.CompletedProcess[str]:
    """Run the step on a machine whose `ip` shows this."""
    command = ["bash", "-c", PROGRAM, str(directory), shown]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)


def test_the_shared_address_is_on_the_interface_of_the_machines_own(tmp_path: Path) -> None:
    done = configured(tmp_path, SHOWN)
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in (tmp_path / "keepalived.conf").read_text().splitlines()]
    assert {"interface eth1", "10.0.0.9/24 dev eth1", "10.0.0.1", "priority 100"} <= set(lines)
    assert "unicast_src_ip 10.0.0.2" in lines


def test_a_machine_without_its_address_is_said_and_its_file_stays(tmp_path: Path) -> None:
    done = configured(tmp_path, "")
    assert done.returncode == 1
    assert done.stdout == "No interface of this machine has the address 10.0.0.2.\n"
    assert not [*tmp_path.iterdir()]
