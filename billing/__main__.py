"""Billing's commands: serve, consume, relay, migrate, dlq, drain."""

from billing.events import INBOX, ORDER_BILLS
from billing.settings import load
from chassis import cli, logs
from chassis.http import server, worker_process
from chassis.messaging import dlq_commands, drain_command


def serve() -> None:
    """Serve the API (PM2 process billing-api)."""
    settings = load()
    server.run("billing-api", "billing.wsgi:app", settings.server, settings.port)


def consume() -> None:
    """Record bills, and void those of cancelled orders (PM2 process billing-consumer)."""
    from billing import consumer

    logs.configure(consumer.PROCESS)
    consumer.run(load(), worker_process.stop_event())


def relay() -> None:
    """Publish the messages of the outbox (PM2 process billing-relay)."""
    from billing import relay

    logs.configure(relay.PROCESS)
    relay.run(load(), worker_process.stop_event())


def migrate() -> None:
    """Upgrade billing_db to the newest revision."""
    from chassis.storage import migrations

    logs.configure("billing-migrate")
    migrations.upgrade("billing", load().database)


dlq = dlq_commands.commands(lambda: load().broker, [ORDER_BILLS, INBOX])
drain = drain_command.command(lambda: load().broker)

commands = cli.group(
    "billing",
    serve=serve,
    consume=consume,
    relay=relay,
    migrate=migrate,
    dlq=dlq,
    drain=drain,
)

if __name__ == "__main__":
    commands()
