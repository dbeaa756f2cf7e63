"""The settings of customers."""

from dataclasses import dataclass

from chassis.service_settings import ServiceSettings, read_service
from chassis.settings import EventSettings, RetentionSettings, read


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """The settings of the processes of customers."""

    events: EventSettings


def load() -> Settings:
    """Read `CUSTOMERS_*`, `RABBITMQ_*` and the settings of events.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return read_service(
        Settings, "customers", events=read(EventSettings), retention=read(RetentionSettings)
    )
