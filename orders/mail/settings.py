"""The settings of the mails: the transport and the sender."""

import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from chassis.errors import SettingsError
from chassis.settings import Group, Port, ProcessSettings, read

_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_ADDRESS = re.compile(r"[^@\s<>,;\x00-\x1f\x7f]+@[^@\s<>,;\x00-\x1f\x7f]+")


def _sender(value: object) -> str:
    text = str(value)
    name, address = parseaddr(text)
    if _ADDRESS.fullmatch(address) and name.isprintable() and _is_address(name, address):
        return str(Address(name, addr_spec=address))
    raise PydanticCustomError("sender", "must be one address, like Shop <shop@example.org>")


def _is_address(name: str, address: str) -> bool:
    try:
        Address(name, addr_spec=address)
    except (ValueError, HeaderParseError):
        return False
    return True


class MailSettings(Group):
    """Where mails go: to a mail server if `smtp_host` is set, otherwise into a Maildir.

    Attributes:
        smtp_host: name or address of the mail server; empty for none.
        smtp_port: by default 25 without TLS, 587 with STARTTLS, 465 with TLS.
        smtp_tls: `none`, `starttls` (the first command) or `tls` (from the first byte); the
            server's certificate must be valid for its name.
        smtp_user: the login; empty for none.
        smtp_password: the password of that user.
        mail_from: the sender, with or without a name.
        mail_dir: the Maildir; by default `mail` in `STATE_DIR`.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    smtp_host: Annotated[str, Field(description="a host")] = ""
    smtp_port: Port | None = None
    smtp_tls: Literal["none", "starttls", "tls"] = "none"
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    mail_from: Annotated[
        str, BeforeValidator(_sender), Field(description="one address, with or without a name")
    ] = "orders@localhost"
    mail_dir: Path = Field(default_factory=lambda: read(ProcessSettings).state_dir / "mail")

    @property
    def port(self) -> int:
        """The port of the mail server."""
        return self.smtp_port or _PORTS[self.smtp_tls]


def load() -> MailSettings:
    """Read `SMTP_*` and `MAIL_*`.

    Raises:
        SettingsError: one of them is malformed, or they contradict each other.
    """
    settings = read(MailSettings)
    password = settings.smtp_password.get_secret_value()
    if bool(settings.smtp_user) != bool(password):
        raise SettingsError("settings: SMTP_USER and SMTP_PASSWORD: give both, or none")
    if settings.smtp_user and settings.smtp_tls == "none":
        raise SettingsError(
            "settings: SMTP_TLS: must be starttls or tls, or SMTP_PASSWORD would be sent in clear"
        )
    return settings
