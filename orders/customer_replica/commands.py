"""`directory rebuild`: the replica of the customers by hand."""

import click

from chassis.cli import Group, echo
from chassis.errors import UnavailableError, UpstreamError
from chassis.http.client import ServiceClient
from chassis.settings import read_upstream
from chassis.storage.database import Database
from orders.customer_replica.api import rebuild
from orders.settings import load


@click.group(cls=Group)
def directory() -> None:
    """The local copy of the customers."""


@directory.command("rebuild")
def rebuild_command() -> None:
    """Make the copy equal to the customers API; changes that arrive meanwhile are kept."""
    database = Database(load().database, connections=1)
    try:
        rebuilt = rebuild(database, ServiceClient(read_upstream("customers")))
    except (UnavailableError, UpstreamError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.close()
    echo(f"{rebuilt.customers} customers; {rebuilt.deleted} deleted, since they no longer exist")
