"""The gateway's commands and processes, run on the tests' servers."""

from gateway.settings import Settings
from local.ports import free_port


def variables(configuration: Settings) -> dict[str, str]:
    """What the gateway's commands and processes read, for this configuration."""
    database, rabbitmq = configuration.database, configuration.broker
    services = ("GATEWAY", "INVENTORY", "BILLING", "CUSTOMERS", "ORDERS")
    addresses = {f"{s}_VM_IP": "127.0.0.1" for s in services}
    names = {f"{s}_DB_NAME": f"{s.lower()}_db" for s in services}
    return (
        addresses
        | names
        | {
            "GATEWAY_BIND": "127.0.0.1",
            "GATEWAY_RELAY_PORT": str(free_port()),
            "GATEWAY_DB_HOST": database.host,
            "GATEWAY_DB_PORT": str(database.port),
            "GATEWAY_DB_NAME": database.name,
            "GATEWAY_DB_USER": database.user,
            "GATEWAY_DB_PASSWORD": database.password.get_secret_value(),
            "RABBITMQ_HOST": rabbitmq.host,
            "RABBITMQ_PORT": str(rabbitmq.port),
            "RABBITMQ_USER": rabbitmq.user,
            "RABBITMQ_PASSWORD": rabbitmq.password.get_secret_value(),
            "RABBITMQ_VHOST": rabbitmq.vhost,
            "RABBITMQ_QUEUE": rabbitmq.queue,
        }
    )
