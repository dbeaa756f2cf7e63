"""Which variables inventory reads."""

from dataclasses import dataclass

from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    PortSettings,
    ServerSettings,
    read,
    read_broker,
)

QUEUE = "inventory_inbox"


@dataclass(frozen=True)
class Settings:
    """Inventory's configuration."""

    server: ServerSettings
    port: PortSettings
    relay_port: PortSettings
    consumer_port: PortSettings
    database: DatabaseSettings
    broker: BrokerSettings


def load() -> Settings:
    """Read `INVENTORY_*` and `RABBITMQ_*`; the queue is inventory's own.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return Settings(
        server=read(ServerSettings, "INVENTORY_"),
        port=read(PortSettings, "INVENTORY_API_"),
        relay_port=read(PortSettings, "INVENTORY_RELAY_"),
        consumer_port=read(PortSettings, "INVENTORY_CONSUMER_"),
        database=read(DatabaseSettings, "INVENTORY_DB_"),
        broker=read_broker().for_queue(QUEUE),
    )
