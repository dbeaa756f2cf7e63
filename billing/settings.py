"""Which variables billing reads."""

from dataclasses import dataclass

from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    PortSettings,
    ServerSettings,
    read,
    read_broker,
)


@dataclass(frozen=True)
class Settings:
    """Billing's configuration."""

    server: ServerSettings
    port: PortSettings
    consumer_port: PortSettings
    relay_port: PortSettings
    database: DatabaseSettings
    broker: BrokerSettings


def load() -> Settings:
    """Read `BILLING_*` and `RABBITMQ_*`.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return Settings(
        server=read(ServerSettings, "BILLING_"),
        port=read(PortSettings, "BILLING_API_"),
        consumer_port=read(PortSettings, "BILLING_CONSUMER_"),
        relay_port=read(PortSettings, "BILLING_RELAY_"),
        database=read(DatabaseSettings, "BILLING_DB_"),
        broker=read_broker(),
    )
