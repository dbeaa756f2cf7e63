"""The commands of customers."""

from chassis import service_commands

commands = service_commands.declare(
    "customers",
    {
        "serve": ("customers.wsgi:app", "Serve the API"),
        "relay": ("customers.relay:run", "Publish the events of the outbox"),
    },
    migrate="Migrate customers_db to the newest revision.",
)

if __name__ == "__main__":
    commands()
