"""PostgreSQL servers of one test, which may stop, freeze and disconnect them."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from sqlalchemy import text

from chassis.settings import DatabaseSettings
from chassis.storage import migrations
from chassis.storage.database import Database
from tests.support.servers import DATABASES, PASSWORD
from tools.stack.ports import free_port
from tools.stack.servers.data_directories import private_home
from tools.stack.servers.postgres import Postgres


@contextmanager
def own_database(service: str) -> Iterator[tuple[DatabaseSettings, Postgres]]:
    """Lend a service's migrated database on a server of its own."""
    name, user = DATABASES[service]
    with private_home() as home:
        server = Postgres(home / "postgres", host="127.0.0.1", port=free_port(), fsync=False)
        server.start()
        try:
            server.create_database(name, user, PASSWORD)
            settings = settings_of(service, str(server.port))
            migrations.upgrade(service, settings)
            yield settings, server
        finally:
            server.stop_at_once()


@contextmanager
def altered(database: Database, table: str, change: str, undo: str) -> Iterator[None]:
    """Alter a table for a block, whatever happens in it: other tests share the database.

    Args:
        database: its owner's.
        table: its name.
        change: what follows ALTER TABLE and the name.
        undo: the whole statement that takes it back.
    """
    with database.autocommit() as connection:
        connection.execute(text(f"ALTER TABLE {table} {change}"))
    try:
        yield
    finally:
        with database.autocommit() as connection:
            connection.execute(text(undo))


@contextmanager
def without_outbox(database: Database) -> Iterator[None]:
    """Take the outbox away for a block, so that no event can be written."""
    back = "ALTER TABLE outbox_away RENAME TO outbox"
    with altered(database, "outbox", "RENAME TO outbox_away", back):
        yield


def settings_of(service: str, ports: str) -> DatabaseSettings:
    """The settings of a service's database at one or several ports of 127.0.0.1."""
    name, user = DATABASES[service]
    hosts = ",".join("127.0.0.1" for _ in ports.split(","))
    secret = SecretStr(PASSWORD)
    return DatabaseSettings(host=hosts, port=ports, name=name, user=user, password=secret)
