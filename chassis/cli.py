"""The commands of a service: `python -m <service> COMMAND`."""

import os
import re
from collections.abc import Callable
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from chassis.errors import SettingsError, first_line
from chassis.printable import escaped

# how libpq reports a failed connection
_CONNECTING = re.compile(r'connection to server at "(.+?)"(?: \(.+?\))?, port (\d+) failed: (.*)')
# how a person calls the commands; without this variable, by `python -m`
_CALLER = "CALLED_AS"
_STARTS = {
    "./stack run": "./stack up starts it",
    "crud-master": "sudo systemctl start {unit}, on its machine",
    "python -m": "./stack up starts it; on a machine, sudo systemctl start {unit}",
}
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print `text`, which may contain data, with all control characters but newlines escaped."""
    click.echo(escaped(text), err=err, nl=nl)


def say_nothing_found(text: str) -> None:
    """Print on standard error that a list is empty; standard output stays empty."""
    echo(text, err=True)


class Command(click.Command):
    """A command whose help ends with an example, in which `{}` stands for the command's path."""

    def __init__(self, *words: Any, example: str = "{}", **options: Any) -> None:
        super().__init__(*words, **options)
        self.example = example
        self.context_settings = {**_CONTEXT, **self.context_settings}

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Add the example."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"  {line.replace('{}', ctx.command_path)}\n")


class Group(click.Group):
    """A command group whose help shows the whole first sentence of each command."""

    command_class = Command

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self.context_settings = {**_CONTEXT, **self.context_settings}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each command."""
        shown = {name: command for name, command in self.commands.items() if not command.hidden}
        rows = [(name, command.get_short_help_str(200)) for name, command in shown.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Commands(Group):
    """A command group that reports missing settings or an unavailable database in one sentence."""

    def __call__(self, *words: Any, **options: Any) -> Any:
        """Run the command that the command line names, and exit."""
        return super().__call__(*words, **{"prog_name": f"{_caller()} {self.name}", **options})

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            # the message may contain data, such as the name of a file
            if escaped(error.message) == error.message:
                raise
            kind = click.UsageError if isinstance(error, click.UsageError) else click.ClickException
            raise kind(escaped(error.message)) from None
        except SettingsError as error:
            raise click.ClickException(escaped(str(error))) from None
        except OperationalError as error:
            raise click.ClickException(escaped(database_failure(error))) from None


def group(service: str, **commands: Callable[[], object] | click.Command) -> Commands:
    """Return the commands of a service; a function's docstring is its command's help."""
    made = Commands(service, help=f"The commands of {service}.")
    for name, command in commands.items():
        if not isinstance(command, click.Command):
            command = Command(name, callback=command, help=command.__doc__)
        made.add_command(command, name)
    return made


def starts(unit: str) -> str:
    """Return how to start a server from where the command was called; `unit` is systemd's name."""
    return _STARTS[_caller()].format(unit=unit)


def _caller() -> str:
    caller = os.environ.get(_CALLER, "")
    return caller if caller in _STARTS else "python -m"


def database_failure(error: OperationalError) -> str:
    """Return in one sentence why the database does not serve a command, and what to do."""
    reason = first_line(error.orig or error)
    found = _CONNECTING.fullmatch(reason)
    if found is None:
        return f"the database does not answer: {reason}"
    host, port, why = found.groups()
    if why.startswith("FATAL:"):
        return f"the database at {host}:{port} refuses: {why.removeprefix('FATAL:').strip()}"
    return f"the database does not answer at {host}:{port} ({why.lower()}): {starts('postgresql')}"
