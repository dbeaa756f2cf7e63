"""Each rule of .env by which `vagrant up` refuses to begin; every launch takes seconds."""

import shutil
from pathlib import Path

import pytest

from tests.deployment.vagrant import Vagrant


@pytest.mark.skipif(not shutil.which("vagrant"), reason="Vagrant is not installed")
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("GATEWAY_VM_IP=\n", "lacks GATEWAY_VM_IP"),
        (
            "BILLING_VM_IP=192.168.56.256\n",
            "BILLING_VM_IP=192.168.56.256, which is no IPv4 address",
        ),
        ("BILLING_VM_IP=billing\n", "no IPv4 address"),
        ("BILLING_VM_IP=192.168.56.11\n", "the same address, 192.168.56.11"),
        ("RABBITMQ_FORWARDED_PORT=8080\n", "the same port, 8080"),
        ("GATEWAY_PORT=80a\n", "no port from 1 to 65535"),
        ("GATEWAY_PORT=70000\n", "no port from 1 to 65535"),
        ("ORDERS_VM_IP=192.168.56.13\n", "CUSTOMERS_VM_IP and ORDERS_VM_IP the same address"),
        ("SMTP_PORT=smtp\n", "SMTP_PORT=smtp, which is no port from 1 to 65535"),
        ("what is this\n", "is not NAME=value"),
        ('RABBITMQ_PASSWORD="it\'s"\n', "single quote"),
    ],
)
def test_an_error_is_reported_in_one_sentence(tmp_path: Path, lines: str, words: str) -> None:
    vagrant = Vagrant(tmp_path, {})
    env = tmp_path / ".env"
    env.write_text(env.read_text() + lines)
    assert words in vagrant.refusal()
