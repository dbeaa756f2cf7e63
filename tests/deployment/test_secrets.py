"""Who runs what, and where no password is to be found."""

import base64
import shlex
from collections.abc import Iterable

import pytest

from tests.deployment.passwords import PASSWORDS
from tests.deployment.platform import PROCESSES, Platform
from tests.deployment.vagrant import MACHINES, on_each

# a part of each password that no other text has and that needs no escaping
PARTS = (
    'gw "secret"',
    "inv-secret",
    "bill-secret",
    "cust-secret",
    "ord-secret",
    "mq-secret",
    "token-secret",
    "smtp-secret",
)
# those that a machine needs, by its role
OWN = {
    "gateway": {'gw "secret"', "mq-secret", "token-secret"},
    "inventory": {"inv-secret", "mq-secret"},
    "billing": {"bill-secret", "mq-secret"},
    "customers": {"cust-secret", "mq-secret"},
    "orders": {"ord-secret", "mq-secret", "smtp-secret"},
}
EVERYWHERE = "/etc /opt /var /home /root /tmp /run /usr/local"


@pytest.mark.parametrize("machine", MACHINES)
def test_the_services_run_as_app(platform: Platform, machine: str) -> None:
    running = platform.look(machine, "ps -u app -o args=")
    assert "PM2" in running
    modules = ("billing", "customers", "gateway", "inventory", "orders")
    assert "granian_master.py" in running
    assert any(f"-m {module}" in running for module in modules)
    everybody = platform.look(
        machine, "ps -eo user=,args= | grep -F /opt/crud-master | grep -v grep"
    )
    assert {line.split()[0] for line in everybody.splitlines()} == {"app"}
    assert {entry["name"] for entry in platform.processes(machine)} == set(PROCESSES[machine])


def test_no_password_is_where_others_can_read_it(platform: Platform) -> None:
    found = on_each(lambda machine: readable(platform, machine))
    assert not any(found.values()), found


def readable(platform: Platform, machine: str) -> list[str]:
    """Where a machine shows a password: its processes, or files that others can read."""
    look = platform.look
    look(machine, "pm2 save")
    shown = {
        "PM2": look(machine, "sudo cat /var/lib/crud-master/pm2/dump.pm2; pm2 jlist"),
        "command lines": look(machine, "ps -eo args"),
        "environments": look(
            machine, "for p in $(pgrep -u app); do sudo cat /proc/$p/environ | tr '\\0' '\\n'; done"
        ),
    }
    found = [place for place, text in shown.items() if any(part in text for part in PARTS)]
    search = f"sudo grep -rlFs {patterns(PARTS)} {EVERYWHERE} 2>/dev/null; true"
    for path in look(machine, search, seconds=300).splitlines():
        # one that is gone by now is read by nobody
        mode = look(machine, f"sudo stat -c %a {shlex.quote(path)} || true").strip()
        found += [path] if mode and mode[-1] != "0" else []
    return found


def test_no_machine_has_the_password_of_another(platform: Platform) -> None:
    found = on_each(lambda machine: foreign(platform, machine))
    assert not any(found.values()), found


def foreign(platform: Platform, machine: str) -> str:
    """The files of a machine that have a password which it has no need of."""
    parts = set(PARTS) - OWN[machine.removesuffix("-vm")]
    # sudo has this very command in the journal
    options = f"-rlFs --exclude-dir=journal {patterns(parts)}"
    return platform.look(machine, f"sudo grep {options} {EVERYWHERE}; true", seconds=300)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_services_have_the_passwords_that_they_need(platform: Platform, machine: str) -> None:
    role = machine.removesuffix("-vm")
    text = platform.look(machine, f"sudo cat /etc/crud-master/{role}.env")
    assert {part for part in PARTS if part in text} == OWN[role]


def patterns(parts: Iterable[str]) -> str:
    """grep's options for any of `parts`."""
    return " ".join(f"-e {shlex.quote(part)}" for part in sorted(parts))


def test_vagrant_prints_no_password(platform: Platform) -> None:
    encoded = [base64.b64encode(word.encode()).decode()[:12] for word in PASSWORDS.values()]
    assert not [word for word in (*PARTS, *encoded) if word in platform.vagrant.output]


def test_other_accounts_may_not_use_pm2(platform: Platform) -> None:
    done = platform.vagrant.try_look("inventory-vm", "sudo -u nobody pm2 list")
    assert done.returncode != 0
    assert "inventory-api" not in done.stdout
