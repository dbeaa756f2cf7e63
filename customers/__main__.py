"""The commands of customers: serve, relay, migrate."""

from chassis import cli, logs
from chassis.http import server, worker_process
from customers.settings import load


def serve() -> None:
    """Serve the API (PM2 process customers-api)."""
    settings = load()
    server.run("customers-api", "customers.wsgi:app", settings.server, settings.port)


def relay() -> None:
    """Publish the events of the outbox (PM2 process customers-relay)."""
    from customers import relay

    logs.configure(relay.PROCESS)
    relay.run(load(), worker_process.stop_event())


def migrate() -> None:
    """Migrate customers_db to the newest revision."""
    from chassis.storage import migrations

    logs.configure("customers-migrate")
    migrations.upgrade("customers", load().database)


commands = cli.group("customers", serve=serve, relay=relay, migrate=migrate)

if __name__ == "__main__":
    commands()
