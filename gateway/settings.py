"""Which variables the gateway reads."""

from dataclasses import dataclass

from chassis.settings import (
    AddressSettings,
    BrokerSettings,
    DatabaseSettings,
    PortSettings,
    ServerSettings,
    read,
    read_broker,
)


@dataclass(frozen=True)
class Upstream:
    """A service behind the gateway."""

    name: str
    host: str
    port: int


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
        inventory=_upstream("inventory"),
        billing=_upstream("billing"),
    )


def _upstream(name: str) -> Upstream:
    prefix = f"{name.upper()}_"
    address = read(AddressSettings, prefix).vm_ip
    return Upstream(f"{name}-api", address, read(PortSettings, f"{prefix}API_").port)
