"""The settings of orders."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    Days,
    Group,
    PortSettings,
    RetentionSettings,
    ServerSettings,
    Upstream,
    read,
    read_broker,
    read_port,
    read_upstream,
)
from orders.mail import settings as mail_settings
from orders.mail.settings import MailSettings


class Retention(RetentionSettings):
    """How long orders keeps technical data.

    Attributes:
        mails_kept_days: settled mails of orders that have ended.
    """

    mails_kept_days: Days = 90


class ResendSettings(Group):
    """When the requests of an unsettled order are sent again.

    Attributes:
        resend_after_seconds: how long an order waits for an answer first.
    """

    resend_after_seconds: Annotated[float, Field(gt=0, le=86400)] = 120


@dataclass(frozen=True)
class Settings:
    """The settings of the processes of orders."""

    server: ServerSettings
    port: PortSettings
    consumer_port: PortSettings
    relay_port: PortSettings
    mail_port: PortSettings
    database: DatabaseSettings
    broker: BrokerSettings
    inventory: Upstream
    customers: Upstream
    mail: MailSettings
    retention: Retention = field(default_factory=Retention)
    resend: ResendSettings = field(default_factory=ResendSettings)


def load() -> Settings:
    """Read `ORDERS_*`, `RABBITMQ_*`, the addresses of inventory and customers, and the mails'.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return Settings(
        server=read(ServerSettings, "ORDERS_"),
        port=read_port("orders-api"),
        consumer_port=read_port("orders-consumer"),
        relay_port=read_port("orders-relay"),
        mail_port=read_port("mail-worker"),
        database=read(DatabaseSettings, "ORDERS_DB_"),
        broker=read_broker(),
        inventory=read_upstream("inventory"),
        customers=read_upstream("customers"),
        mail=mail_settings.load(),
        retention=read(Retention),
        resend=read(ResendSettings, "ORDERS_"),
    )
