"""The commands of orders: its processes, and commands for operators."""

from chassis import service_commands
from orders.commands import list_, resend
from orders.customer_replica.commands import directory
from orders.imports.command import import_
from orders.mail.commands import mail

commands = service_commands.declare(
    "orders",
    {
        "serve": ("orders.wsgi:app", "Serve the API"),
        "consume": ("orders.consumer:run", "Apply the events of other services"),
        "relay": ("orders.relay:run", "Publish the messages of the outbox"),
        "mail-worker": ("orders.mail.worker:run", "Send customers mails about their orders"),
    },
    migrate="Migrate orders_db to the newest revision.",
    restored="orders.restored:sentences",
    **{"list": list_, "resend": resend, "import": import_, "mail": mail, "directory": directory},
)

if __name__ == "__main__":
    commands()
