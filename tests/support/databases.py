"""PostgreSQL servers of one test, which may stop, freeze and disconnect them."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from chassis.settings import DatabaseSettings
from chassis.storage import migrations
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


def settings_of(service: str, ports: str) -> DatabaseSettings:
    """The settings of a service's database at one or several ports of 127.0.0.1."""
    name, user = DATABASES[service]
    hosts = ",".join("127.0.0.1" for _ in ports.split(","))
    secret = SecretStr(PASSWORD)
    return DatabaseSettings(host=hosts, port=ports, name=name, user=user, password=secret)
