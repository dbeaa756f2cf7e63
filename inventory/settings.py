"""The variables that inventory reads."""

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
    """How long inventory keeps reservations of ended orders.

    Attributes:
        reservations_kept_days: for reservations of orders that have ended.
        cancellations_kept_days: for cancellations that arrived before their orders. Such an order
            may be a dead letter for long before it is requeued.
    """

    reservations_kept_days: Days = 90
    cancellations_kept_days: Days = 365


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """Inventory's configuration."""

    consumer_port: PortSettings
    retention: Retention = field(default_factory=Retention)


def load() -> Settings:
    """Read `INVENTORY_*` and `RABBITMQ_*`.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return read_service(
        Settings,
        "inventory",
        consumer_port=read_port("inventory-consumer"),
        retention=read(Retention),
    )
