"""The variables that inventory reads."""

from dataclasses import dataclass, field

from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    Days,
    PortSettings,
    RetentionSettings,
    ServerSettings,
    read,
    read_broker,
    read_port,
)

QUEUE = "inventory_inbox"


class Retention(RetentionSettings):
    """How long inventory keeps reservations of ended orders.

    Attributes:
        reservations_kept_days: for reservations of orders that have ended.
        cancellations_kept_days: for cancellations that arrived before their orders. Such an order
            may be a dead letter for long before it is requeued.
    """

    reservations_kept_days: Days = 90
    cancellations_kept_days: Days = 365


@dataclass(frozen=True)
class Settings:
    """Inventory's configuration."""

    server: ServerSettings
    port: PortSettings
    relay_port: PortSettings
    consumer_port: PortSettings
    database: DatabaseSettings
    broker: BrokerSettings
    retention: Retention = field(default_factory=Retention)


def load() -> Settings:
    """Read `INVENTORY_*` and `RABBITMQ_*`; the queue is inventory's own.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return Settings(
        server=read(ServerSettings, "INVENTORY_"),
        port=read_port("inventory-api"),
        relay_port=read_port("inventory-relay"),
        consumer_port=read_port("inventory-consumer"),
        database=read(DatabaseSettings, "INVENTORY_DB_"),
        broker=read_broker().for_queue(QUEUE),
        retention=read(Retention),
    )
