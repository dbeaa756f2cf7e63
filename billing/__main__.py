"""Billing's commands."""

from chassis import service_commands
from chassis.messaging import drain_command

commands = service_commands.declare(
    "billing",
    {
        "serve": ("billing.wsgi:app", "Serve the API"),
        "consume": ("billing.consumer:run", "Record bills, and void those of cancelled orders"),
        "relay": ("billing.relay:run", "Publish the messages of the outbox"),
    },
    migrate="Upgrade billing_db to the newest revision.",
    drain=drain_command.command(lambda: service_commands.load("billing").broker),
)

if __name__ == "__main__":
    commands()
