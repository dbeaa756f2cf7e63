"""The settings of orders."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from chassis.service_settings import ServiceSettings, read_service
from chassis.settings import (
    Days,
    Group,
    PortSettings,
    RetentionSettings,
    Upstream,
    read,
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


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """The settings of the processes of orders."""

    consumer_port: PortSettings
    mail_port: PortSettings
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
    return read_service(
        Settings,
        "orders",
        consumer_port=read_port("orders-consumer"),
        mail_port=read_port("mail-worker"),
        inventory=read_upstream("inventory"),
        customers=read_upstream("customers"),
        mail=mail_settings.load(),
        retention=read(Retention),
        resend=read(ResendSettings, "ORDERS_"),
    )
