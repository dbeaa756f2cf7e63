"""The variables that billing reads."""

from dataclasses import dataclass, field

from chassis.service_settings import ServiceSettings, read_service
from chassis.settings import (
    Days,
    PortSettings,
    RetentionSettings,
    read,
    read_port,
)


class Retention(RetentionSettings):
    """How long billing keeps cancellations.

    Attributes:
        cancellations_kept_days: for cancellations that arrived before their bills. Such a bill may
            be a dead letter for long before it is requeued.
    """

    cancellations_kept_days: Days = 365


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """Billing's configuration."""

    consumer_port: PortSettings
    retention: Retention = field(default_factory=Retention)


def load() -> Settings:
    """Read `BILLING_*` and `RABBITMQ_*`.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return read_service(
        Settings,
        "billing",
        consumer_port=read_port("billing-consumer"),
        retention=read(Retention),
    )
