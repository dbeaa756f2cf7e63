"""Inventory's commands: serve, migrate."""

from chassis import cli, logs, server
from inventory.settings import load


def serve() -> None:
    """Serve the API (PM2 process inventory-api)."""
    settings = load()
    server.run("inventory-api", "inventory.wsgi:app", settings.server, settings.port)


def migrate() -> None:
    """Bring movies_db to the newest revision."""
    from chassis import migrations

    logs.configure("inventory-migrate")
    migrations.upgrade("inventory", load().database)


if __name__ == "__main__":
    cli.group("inventory", serve=serve, migrate=migrate)()
