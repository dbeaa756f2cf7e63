"""`crud-master backup|restore`: the commands of a machine, for root.

They run in the directory of the release. `ROLE` is the machine's role, and `CALLED_FROM` the
directory that a relative path starts from.
"""

import os
import sys
from datetime import datetime, timezone
from pathlib import Path

import click

from chassis.backup import directory as directory_of
from chassis.backup import interruptions, work
from chassis.backup.errors import BackupError
from chassis.backup.machine import MachinePlatform
from chassis.cli import Command, Group, echo
from chassis.errors import SettingsError

HOME = Path("/var/backups/crud-master")


@click.group(cls=Group)
def program() -> None:
    """Backups of this machine: its service's database, and RabbitMQ's definitions."""
    interruptions.exit_in_order()


@program.command(cls=Command, example="{}\n{} /mnt/disk/billing-monday")
@click.argument("directory", required=False, metavar="[DIRECTORY]")
def backup(directory: str | None) -> None:
    """Back up the service's database; on RabbitMQ's machine its definitions, too.

    The services go on meanwhile. DIRECTORY must be new; without one it is
    /var/backups/crud-master/TIME.
    """
    target = (
        directory_of.named(directory)
        if directory
        else HOME / work.name_of(datetime.now(timezone.utc))
    )
    made = work.back_up(_platform(), target)
    echo(work.told(made, target))


@program.command(cls=Command, example="{} /mnt/disk/billing-monday\n{} --replace monday")
@click.argument("directory", metavar="DIRECTORY")
@click.option("--replace", is_flag=True, help="Replace the rows that are in the database.")
@click.option("--service", multiple=True, metavar="SERVICE", help="Only this one; repeatable.")
def restore(directory: str, replace: bool, service: tuple[str, ...]) -> None:
    """Restore a backup of this machine's service; the services are stopped meanwhile.

    A backup of several services will do, too.
    """
    work.restore(_platform(), directory_of.named(directory), service, replace, echo)


def _platform() -> MachinePlatform:
    return MachinePlatform(os.environ["ROLE"])


def main() -> int:
    """Run the command; return the exit status."""
    try:
        program(prog_name="crud-master", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (BackupError, SettingsError) as error:
        echo(f"Error: {error}", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
