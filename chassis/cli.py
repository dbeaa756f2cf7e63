"""The commands of a service: `python -m <service> COMMAND`."""

import re
from collections.abc import Callable
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from chassis.errors import SettingsError, first_line
from chassis.printable import escaped

# how libpq begins a sentence about a connection that it does not get
_CONNECTING = re.compile(r'connection to server at "(.+?)"(?: \(.+?\))?, port (\d+) failed: (.*)')
STARTS = "./stack up starts it; on a machine, sudo systemctl start {unit}"


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print `text`, in which data may be, with nothing that a terminal would obey but newlines."""
    click.echo(escaped(text), err=err, nl=nl)


def say_nothing_found(text: str) -> None:
    """Tell a person, on standard error, that a list is empty; a program gets no line for it."""
    echo(text, err=True)


class Commands(click.Group):
    """A command group that says in one sentence what its commands lack: settings, a database."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            # with what it names, such as a file or an address
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
            command = click.Command(name, callback=command, help=command.__doc__)
        made.add_command(command, name)
    return made


def database_failure(error: OperationalError) -> str:
    """Say in one sentence why a command gets nothing from its database, and what to do."""
    reason = first_line(error.orig or error)
    found = _CONNECTING.fullmatch(reason)
    if found is None:
        return f"the database does not answer: {reason}"
    host, port, why = found.groups()
    if why.startswith("FATAL:"):
        return f"the database at {host}:{port} refuses: {why.removeprefix('FATAL:').strip()}"
    starts = STARTS.format(unit="postgresql")
    return f"the database does not answer at {host}:{port} ({why.lower()}): {starts}"
