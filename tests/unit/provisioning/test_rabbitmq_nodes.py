"""How a machine finds the cluster of RabbitMQ that it joins."""

import subprocess

import pytest

from tools.stack.layout import CHECKOUT

PROGRAM = """
set -euo pipefail
shopt -s lastpipe
for script in lib/steps steps/hosts steps/rabbitmq; do source "provisioning/$script.sh"; done
running=$0
# rabbitmqctl 3.10 reads its standard input to the end
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
