"""Connections to the databases of a stack's services, as the services make them."""

import psycopg2

from chassis.storage.database import connect_args
from tools.stack.stack import Stack


def connect(
    stack: Stack, service: str, database: str | None = None
) -> "psycopg2.extensions.connection":
    """Connect to a service's database, or to another of its PostgreSQL. Raises psycopg2.Error."""
    prefix = f"{service.upper()}_DB_"
    names = ("HOST", "PORT")
    place = {name.lower(): stack.variables[prefix + name] for name in names}
    connection: psycopg2.extensions.connection = psycopg2.connect(
        dbname=database or stack.variables[f"{prefix}NAME"],
        user=stack.variables[f"{prefix}USER"],
        password=stack.variables[f"{prefix}PASSWORD"],
        **connect_args(place, {}),
    )
    return connection
