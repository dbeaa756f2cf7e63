"""Who runs what, and where no password is to be found."""

import base64
import shlex

import pytest

from tests.deployment.conftest import PASSWORDS
from tests.deployment.platform import PROCESSES, Platform
from tests.deployment.vagrant import MACHINES

# a part of each password that no other text has and that needs no escaping
PARTS = ('gw "secret"', "inv-secret", "bill-secret", "cust-secret", "mq-secret")
EVERYWHERE = "/etc /opt /var /home /root /tmp /run /usr/local"


@pytest.mark.parametrize("machine", MACHINES)
def test_the_services_run_as_app(platform: Platform, machine: str) -> None:
    running = platform.ssh(machine, "ps -u app -o args=")
    assert "PM2" in running
    modules = ("granian", "billing", "customers", "gateway")
    assert sum(running.count(f"-m {module}") for module in modules) >= 2
    everybody = platform.ssh(
        machine, "ps -eo user=,args= | grep -F /opt/crud-master | grep -v grep"
    )
    assert {line.split()[0] for line in everybody.splitlines()} == {"app"}
    assert {entry["name"] for entry in platform.processes(machine)} == set(PROCESSES[machine])


@pytest.mark.parametrize("machine", MACHINES)
def test_no_password_is_where_others_can_read_it(platform: Platform, machine: str) -> None:
    platform.ssh(machine, "pm2 save")
    patterns = " ".join(f"-e {shlex.quote(part)}" for part in PARTS)
    dump = platform.ssh(
        machine, "sudo cat /var/lib/crud-master/pm2/dump.pm2; pm2 jlist; ps -eo args"
    )
    environment = platform.ssh(
        machine, "for p in $(pgrep -u app); do sudo cat /proc/$p/environ | tr '\\0' '\\n'; done"
    )
    assert not [part for part in PARTS if part in dump + environment]
    search = f"sudo grep -rlFs {patterns} {EVERYWHERE} 2>/dev/null; true"
    for path in platform.ssh(machine, search, seconds=300).splitlines():
        mode = platform.ssh(machine, f"sudo stat -c %a {shlex.quote(path)}").strip()
        assert mode[-1] == "0", (path, mode)


def test_no_machine_has_anothers_password(platform: Platform) -> None:
    # sudo has this very command in the journal
    own = {"inventory-vm": {"inv-secret"}, "customers-vm": {"cust-secret", "mq-secret"}}
    for machine, parts in own.items():
        patterns = " ".join(f"-e {shlex.quote(part)}" for part in PARTS if part not in parts)
        options = f"-rlFs --exclude-dir=journal {patterns}"
        found = platform.ssh(machine, f"sudo grep {options} {EVERYWHERE}; true", seconds=300)
        assert found == ""


def test_vagrant_prints_no_password(platform: Platform) -> None:
    encoded = [base64.b64encode(word.encode()).decode()[:12] for word in PASSWORDS.values()]
    assert not [word for word in (*PARTS, *encoded) if word in platform.vagrant.output]


def test_other_accounts_may_not_use_pm2(platform: Platform) -> None:
    done = platform.vagrant.try_ssh("inventory-vm", "sudo -u nobody pm2 list")
    assert done.returncode != 0
    assert "inventory-api" not in done.stdout
