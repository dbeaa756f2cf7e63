"""Connections to the databases of a stack's services, as the services make them."""

import psycopg2

from local.stack import Stack

CONNECT_SECONDS = 5


def connect(stack: Stack, service: str) -> "psycopg2.extensions.connection":
    """Connect to a service's database. Raises psycopg2.Error."""
    prefix = f"{service.upper()}_DB_"
    return psycopg2.connect(
        host=stack.variables[f"{prefix}HOST"],
        port=stack.variables[f"{prefix}PORT"],
        dbname=stack.variables[f"{prefix}NAME"],
        user=stack.variables[f"{prefix}USER"],
        password=stack.variables[f"{prefix}PASSWORD"],
        connect_timeout=CONNECT_SECONDS,
    )
