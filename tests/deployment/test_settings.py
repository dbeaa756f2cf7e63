"""What is wrong with .env is said in one sentence before anything starts."""

from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("mode", "command", "times"),
    [
        (0o644, "validate", 1),
        (0o640, "validate", 1),
        (0o600, "validate", 0),
        (0o644, "status", 0),
    ],
)
def test_a_readable_env_is_reported_once(
    project: Project, mode: int, command: str, times: int
) -> None:
    vagrant = project("")
    own = vagrant.home / ".env"
    own.chmod(mode)
    warning = f"{own} holds passwords, and other users of this machine can read it: chmod 600 {own}"
    assert vagrant.run(command).count(warning) == times


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
        ("ORDERS_WORKERS=65\n", "ORDERS_WORKERS=65, which is no whole number from 1 to 64"),
        ("GATEWAY_THREADS=0\n", "GATEWAY_THREADS=0, which is no whole number from 1 to 256"),
        ("BILLING_THREADS=many\n", "BILLING_THREADS=many, which is no whole number"),
        (
            "OUTBOX_KEPT_ROWS=0\n",
            "OUTBOX_KEPT_ROWS=0, which is no whole number from 1 to 10000000",
        ),
        (
            "EVENTS_KEPT_ROWS=10000001\n",
            "EVENTS_KEPT_ROWS=10000001, which is no whole number from 1 to 10000000",
        ),
        ("MAILS_KEPT_DAYS=ten\n", "MAILS_KEPT_DAYS=ten, which is no whole number from 1 to 3650"),
        ("EVENTS_STRICT=yes\n", "EVENTS_STRICT=yes, which is neither true nor false"),
        ("EVENT_PUBLISH_TIMEOUT_SECONDS=31\n", "above 0, 30 at most"),
        ("ORDERS_RESEND_AFTER_SECONDS=86401\n", "above 0, 86400 at most"),
        ("GATEWAY_PORT=70000\n", "no port from 1 to 65535"),
        ("ORDERS_VM_IP=192.168.56.13\n", "CUSTOMERS_VM_IP and ORDERS_VM_IP the same address"),
        (
            "AUTH_PROTECTED=order\n",
            "AUTH_PROTECTED=order, which is neither all nor none nor a list",
        ),
        ("API_TOKEN=short\n", "an API_TOKEN that is not 8 to 512 visible ASCII characters"),
        (
            "RATE_LIMIT_READS=many\n",
            "RATE_LIMIT_READS=many, which is neither none nor NUMBER/second",
        ),
        ("TRUSTED_PROXIES=10.0.0.1/8\n", "10.0.0.1/8, which is no list of addresses and networks"),
        ("CORS_ORIGINS=a.example\n", "CORS_ORIGINS=a.example, which is neither * nor a list"),
        ("ALLOWED_HOSTS=a.example:80\n", "a.example:80, which is no list of host names without"),
        ("SMTP_PORT=smtp\n", "SMTP_PORT=smtp, which is no port from 1 to 65535"),
        ("SMTP_TLS=yes\n", "SMTP_TLS=yes, which is neither none nor starttls nor tls"),
        ("SMTP_USER=me\n", "only one of SMTP_USER and SMTP_PASSWORD"),
        ("SMTP_USER=me\nSMTP_PASSWORD=secret\n", "SMTP_TLS has to be starttls or tls"),
        ("what is this\n", "is not NAME=value"),
        ('RABBITMQ_PASSWORD="it\'s"\n', "single quote"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(project: Project, lines: str, words: str) -> None:
    done = project(lines).try_run("up")
    assert done.returncode != 0
    heading = "Vagrant failed to initialize at a very early stage:"
    [sentence] = done.stdout.removeprefix(heading).strip().splitlines()
    assert words in sentence


def test_comments_quotes_export_and_blank_lines_are_read_as_by_a_shell(project: Project) -> None:
    lines = (
        "\n  # a comment\nexport GATEWAY_PORT='8081' # another\nGATEWAY_VM_IP = \"10.9.8.7\"\r\n"
    )
    project(lines + "INVENTORY_API_PORT=8082 # a third\n").run("validate")


def test_without_an_env_file_the_example_is_used_and_that_is_said(project: Project) -> None:
    vagrant = project("")
    (vagrant.home / ".env").unlink()
    assert "There is no .env: the variables are those of .env.example." in vagrant.run("validate")
