"""The commands of orders: its processes, and commands for operators."""

from collections.abc import Callable

import click

from chassis import cli, logs
from chassis.http import server, worker_process
from chassis.messaging import dlq_commands
from orders.commands import list_, resend
from orders.consumer import QUEUE
from orders.customer_replica.commands import directory
from orders.imports.command import import_
from orders.mail.commands import mail
from orders.settings import load


def serve() -> None:
    """Serve the API (PM2 process orders-api)."""
    settings = load()
    server.run("orders-api", "orders.wsgi:app", settings.server, settings.port)


def consume() -> None:
    """Apply the events of other services (PM2 process orders-consumer)."""
    from orders import consumer

    logs.configure(consumer.PROCESS)
    consumer.run(load(), worker_process.stop_event())


def relay() -> None:
    """Publish the messages of the outbox (PM2 process orders-relay)."""
    from orders import relay

    logs.configure(relay.PROCESS)
    relay.run(load(), worker_process.stop_event())


def mail_worker() -> None:
    """Send customers mails about their orders (PM2 process mail-worker)."""
    from orders.mail import worker as mail_worker

    logs.configure(mail_worker.PROCESS)
    mail_worker.run(load(), worker_process.stop_event())


def migrate() -> None:
    """Migrate orders_db to the newest revision."""
    from chassis.storage import migrations

    logs.configure("orders-migrate")
    migrations.upgrade("orders", load().database)


COMMANDS: dict[str, Callable[[], object] | click.Command] = {
    "serve": serve,
    "consume": consume,
    "relay": relay,
    "mail-worker": mail_worker,
    "migrate": migrate,
    "dlq": dlq_commands.commands(lambda: load().broker.for_queue(QUEUE), ["mail_inbox"]),
    "list": list_,
    "resend": resend,
    "import": import_,
    "mail": mail,
    "directory": directory,
}

commands = cli.group("orders", **COMMANDS)

if __name__ == "__main__":
    commands()
