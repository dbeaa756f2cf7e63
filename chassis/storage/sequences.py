"""The sequences of a database after a restore: no id that a client holds is given again."""

from sqlalchemy import Connection, text

SKIPPED = 1_000_000
"""How many ids are left out: more than a database gives between two backups."""
_SKIP = text(
    "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, "
    "coalesce(last_value, start_value) + :skipped) "
    "FROM pg_sequences WHERE schemaname = current_schema()"
)


def skip(connection: Connection) -> None:
    """Leave out `SKIPPED` ids of each table: they may have been given after the backup."""
    connection.execute(_SKIP, {"skipped": SKIPPED})
