"""The commands of a service: `python -m <service> COMMAND`."""

from collections.abc import Callable
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from chassis.errors import SettingsError
from chassis.printable import escaped


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print `text`, in which data may be, with nothing that a terminal would obey but newlines."""
    click.echo(escaped(text), err=err, nl=nl)


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
            reason = str(error.orig).strip().replace("\n", " ")
            message = f"the database does not answer: {escaped(reason)}"
            raise click.ClickException(message) from None


def group(service: str, **commands: Callable[[], object] | click.Command) -> Commands:
    """Return the commands of a service; a function's docstring is its command's help."""
    made = Commands(service, help=f"The commands of {service}.")
    for name, command in commands.items():
        if not isinstance(command, click.Command):
            command = click.Command(name, callback=command, help=command.__doc__)
        made.add_command(command, name)
    return made
