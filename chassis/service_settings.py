"""The configuration that all services have, read from the variables that begin with their names."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    PortSettings,
    RetentionSettings,
    ServerSettings,
    read,
    read_broker,
    read_port,
    server_of,
)


@dataclass(frozen=True)
class ServiceSettings:
    """The configuration that all services have; a service adds its own fields, by keyword only.

    Attributes:
        port: of the process that serves HTTP.
        relay_port: of the process that publishes the outbox.
    """

    server: ServerSettings
    port: PortSettings
    relay_port: PortSettings
    database: DatabaseSettings
    broker: BrokerSettings
    retention: RetentionSettings = field(default_factory=RetentionSettings)


ServiceT = TypeVar("ServiceT", bound=ServiceSettings)


def read_service(
    settings: type[ServiceT],
    service: str,
    server: type[ServerSettings] = ServerSettings,
    **own: Any,
) -> ServiceT:
    """Read the configuration of a service from the variables that begin with its name.

    Args:
        settings: the class to fill.
        service: the name of the service, which is also its role in topology.yml.
        server: the group of the variables of its server.
        own: the service's own fields; also replaces fields that all services have.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    prefix = f"{service.upper()}_"
    common: dict[str, Any] = {
        "server": read(server, prefix),
        "port": read_port(server_of(service).name),
        "relay_port": read_port(f"{service}-relay"),
        "database": read(DatabaseSettings, f"{prefix}DB_"),
        "broker": read_broker(),
    }
    return settings(**(common | own))
