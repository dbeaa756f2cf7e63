"""Which variables the gateway reads."""

from dataclasses import dataclass

from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    PortSettings,
    ServerSettings,
    Upstream,
    read,
    read_broker,
    read_upstream,
)


@dataclass(frozen=True)
class Settings:
    """The gateway's configuration."""

    server: ServerSettings
    port: PortSettings
    relay_port: PortSettings
    database: DatabaseSettings
    broker: BrokerSettings
    inventory: Upstream
    billing: Upstream
    customers: Upstream


def load() -> Settings:
    """Read `GATEWAY_*`, `RABBITMQ_*` and where the other services are.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return Settings(
        server=read(ServerSettings, "GATEWAY_"),
        port=read(PortSettings, "GATEWAY_"),
        relay_port=read(PortSettings, "GATEWAY_RELAY_"),
        database=read(DatabaseSettings, "GATEWAY_DB_"),
        broker=read_broker(),
        inventory=read_upstream("inventory"),
        billing=read_upstream("billing"),
        customers=read_upstream("customers"),
    )
