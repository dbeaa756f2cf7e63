"""The settings of customers."""

from dataclasses import dataclass, field

from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    EventSettings,
    PortSettings,
    RetentionSettings,
    ServerSettings,
    read,
    read_broker,
    read_port,
)


@dataclass(frozen=True)
class Settings:
    """The settings of the processes of customers."""

    server: ServerSettings
    port: PortSettings
    relay_port: PortSettings
    database: DatabaseSettings
    broker: BrokerSettings
    events: EventSettings
    retention: RetentionSettings = field(default_factory=RetentionSettings)


def load() -> Settings:
    """Read `CUSTOMERS_*`, `RABBITMQ_*` and the settings of events.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return Settings(
        server=read(ServerSettings, "CUSTOMERS_"),
        port=read_port("customers-api"),
        relay_port=read_port("customers-relay"),
        database=read(DatabaseSettings, "CUSTOMERS_DB_"),
        broker=read_broker(),
        events=read(EventSettings),
        retention=read(RetentionSettings),
    )
