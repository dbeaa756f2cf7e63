"""Inventory's commands."""

from chassis import service_commands

commands = service_commands.declare(
    "inventory",
    {
        "serve": ("inventory.wsgi:app", "Serve the API"),
        "consume": ("inventory.consumer:run", "Reserve stock for the orders in inventory_inbox"),
        "relay": ("inventory.relay:run", "Publish the messages of the outbox"),
    },
    migrate="Upgrade movies_db to the newest revision.",
    restored="inventory.restored:sentences",
)

if __name__ == "__main__":
    commands()
