"""The variables that billing reads."""

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


class Retention(RetentionSettings):
    """How long billing keeps cancellations.

    Attributes:
        cancellations_kept_days: for cancellations that arrived before their bills. Such a bill may
            be a dead letter for long before it is requeued.
    """

    cancellations_kept_days: Days = 365


@dataclass(frozen=True)
class Settings:
    """Billing's configuration."""

    server: ServerSettings
    port: PortSettings
    consumer_port: PortSettings
    relay_port: PortSettings
    database: DatabaseSettings
    broker: BrokerSettings
    retention: Retention = field(default_factory=Retention)


def load() -> Settings:
    """Read `BILLING_*` and `RABBITMQ_*`.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return Settings(
        server=read(ServerSettings, "BILLING_"),
        port=read_port("billing-api"),
        consumer_port=read_port("billing-consumer"),
        relay_port=read_port("billing-relay"),
        database=read(DatabaseSettings, "BILLING_DB_"),
        broker=read_broker(),
        retention=read(Retention),
    )
