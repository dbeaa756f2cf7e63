"""Inventory's commands: serve, consume, relay, migrate, dlq."""

from chassis import cli, logs
from chassis.http import server, worker_process
from chassis.messaging import dlq_commands
from inventory.settings import load


def serve() -> None:
    """Serve the API (PM2 process inventory-api)."""
    settings = load()
    server.run("inventory-api", "inventory.wsgi:app", settings.server, settings.port)


def consume() -> None:
    """Reserve stock for the orders in inventory_inbox (PM2 process inventory-consumer)."""
    from inventory import consumer

    logs.configure(consumer.PROCESS)
    consumer.run(load(), worker_process.stop_event())


def relay() -> None:
    """Publish the messages of the outbox (PM2 process inventory-relay)."""
    from inventory import relay

    logs.configure(relay.PROCESS)
    relay.run(load(), worker_process.stop_event())


def migrate() -> None:
    """Upgrade movies_db to the newest revision."""
    from chassis.storage import migrations

    logs.configure("inventory-migrate")
    migrations.upgrade("inventory", load().database)


dlq = dlq_commands.commands(lambda: load().broker)

commands = cli.group(
    "inventory", serve=serve, consume=consume, relay=relay, migrate=migrate, dlq=dlq
)

if __name__ == "__main__":
    commands()
