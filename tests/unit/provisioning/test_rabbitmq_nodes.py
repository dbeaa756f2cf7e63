"""Questions to RabbitMQ, one for each line: rabbitmqctl reads standard input to the end."""

import subprocess

import pytest

from tools.stack.layout import CHECKOUT

PROGRAM = """
set -euo pipefail
shopt -s lastpipe
for script in lib/steps steps/hosts steps/rabbitmq; do source "provisioning/$script.sh"; done
running=$0
rabbitmqctl() { cat >/dev/null; [[ " $running " == *" $3 "* ]]; }
own_address=B_VM_IP
rabbitmq_nodes=(a-vm:A_VM_IP b-vm:B_VM_IP c-vm:C_VM_IP)
running_node
"""


@pytest.mark.parametrize(
    ("running", "found"),
    [
        ("rabbit@a-vm rabbit@c-vm", "rabbit@a-vm\n"),
        ("rabbit@c-vm", "rabbit@c-vm\n"),
        ("", ""),
        ("rabbit@b-vm", ""),
    ],
)
def test_it_is_asked_of_each_other_node_until_one_runs(running: str, found: str) -> None:
    done = subprocess.run(
        ["bash", "-c", PROGRAM, running], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == (found, 0 if found else 1)


FORMER = """
set -euo pipefail
shopt -s lastpipe
for script in lib/steps steps/rabbitmq; do source "provisioning/$script.sh"; done
source_root=. python=python_
python_() { printf 'one\ntwo\n'; }
rabbitmqctl() { cat >/dev/null; [[ $1 != delete_user ]] || echo "$2"; }
remove_former_users
"""


def test_all_former_users_are_removed() -> None:
    done = subprocess.run(["bash", "-c", FORMER], cwd=CHECKOUT, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("one\ntwo\n", 0)
