"""What a service's command says when a server that it needs does not answer."""

import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from chassis import cli
from chassis.messaging import dlq_commands, drain_command
from chassis.settings import BrokerSettings
from tools.stack.console import duration
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
def test_a_broker_that_is_down_is_said_in_a_sentence_with_what_to_do(words: list[str]) -> None:
    port = free_port()
    done = run(*words, port=port)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: RabbitMQ does not answer at 127.0.0.1:{port} (connection refused): "
        "./stack up starts it; on a machine, sudo systemctl start rabbitmq-server\n"
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (1530, "25 min"), (11100, "3 h 5 min"),
     (187200, "2 d 4 h")],
)  # fmt: skip
def test_a_duration_has_the_units_that_a_reader_needs(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
