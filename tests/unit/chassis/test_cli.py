"""What a service's command says when a server that it needs does not answer."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from chassis import cli
from chassis.durations import duration
from chassis.messaging import dlq_commands, drain_command
from chassis.settings import BrokerSettings
from tools.stack.layout import CHECKOUT, SERVICES
from tools.stack.ports import free_port


def run(*words: str, port: int) -> Result:
    """Run a command against a broker of which nobody listens at `port`."""
    secret = SecretStr("p")
    broker = BrokerSettings(
        host="127.0.0.1", port=port, user="u", password=secret, vhost="v", queue="q"
    )
    dlq, drain = dlq_commands.commands(lambda: broker), drain_command.command(lambda: broker)
    return CliRunner().invoke(cli.group("billing", dlq=dlq, drain=drain), words)


@pytest.mark.parametrize("words", [["dlq", "list"], ["dlq", "discard", "--all"], ["drain", "old"]])
def test_a_stopped_broker_is_reported_in_one_sentence_with_what_to_do(words: list[str]) -> None:
    port = free_port()
    done = run(*words, port=port)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: RabbitMQ does not answer at 127.0.0.1:{port} (connection refused): "
        "./stack up starts it; on a machine, sudo systemctl start rabbitmq-server\n"
    )


@pytest.mark.parametrize(
    ("caller", "said"),
    [
        ("./stack run", "(connection refused): ./stack up starts it"),
        ("crud-master", "(connection refused): sudo systemctl start rabbitmq-server, on its mach"),
    ],
)
def test_instructions_fit_where_the_command_was_called(
    monkeypatch: pytest.MonkeyPatch, caller: str, said: str
) -> None:
    monkeypatch.setenv("CALLED_AS", caller)
    assert said in run("dlq", "list", port=free_port()).stderr


def commands_below(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """All commands of a group and of the groups in it, by what a person types."""
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands_below(command, f"{path} {name}")


@pytest.mark.parametrize("service", SERVICES)
def test_every_command_of_a_service_has_help_and_an_example(service: str) -> None:
    own = {**os.environ, "CALLED_AS": "./stack run"}
    found = list(commands_below(importlib.import_module(f"{service}.__main__").commands, service))
    assert {path.split()[1] for path, _ in found} >= {"serve", "relay", "migrate"}
    for path, command in found:
        context = click.Context(command, info_name=f"./stack run {path}")
        said = command.get_help(context)
        assert said.startswith(f"Usage: ./stack run {path} "), said
        assert (command.help or "").partition("\n")[0].endswith("."), path
        if not isinstance(command, click.Group):
            assert f"\nExample:\n  ./stack run {path}" in said
    done = subprocess.run(
        [sys.executable, "-m", service, "--help"],
        cwd=CHECKOUT, env=own, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(f"Usage: ./stack run {service} ")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (1530, "25 min"), (11100, "3 h 5 min"),
     (187200, "2 d 4 h")],
)  # fmt: skip
def test_a_duration_has_the_units_that_a_reader_needs(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
