"""The one reader of the environment.

Each class is a group of variables under a prefix (`INVENTORY_DB_NAME` is `name` of the group read
with `INVENTORY_DB_`). Values come from the environment first, then from the file `ENV_FILE` names.
"""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from chassis.errors import SettingsError
from chassis.schema.validation import field_errors

Port = Annotated[int, Field(ge=1, le=65535)]


def _ports(value: object) -> int | str:
    """Read a port, or several as libpq takes them."""
    parts = [part.strip() for part in str(value).split(",")]
    if not all(re.fullmatch("[0-9]{1,5}", part) and 0 < int(part) < 65536 for part in parts):
        detail = "must be a port from 1 to 65535, or one for each host, separated by commas"
        raise PydanticCustomError("ports", detail)
    return int(parts[0]) if len(parts) == 1 else ",".join(parts)


Ports = Annotated[int | str, BeforeValidator(_ports)]
Days = Annotated[int, Field(ge=1, le=3650)]
Rows = Annotated[int, Field(ge=1, le=10_000_000)]


class Group(BaseSettings):
    """A group of variables that share a prefix."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)


class DatabaseSettings(Group):
    """A service's own PostgreSQL database.

    Attributes:
        host: where it is; or several, separated by commas, of which one takes writes.
        port: for all hosts, or one for each, separated by commas.
    """

    host: str = "localhost"
    port: Ports = 5432
    name: str
    user: str
    password: SecretStr

    @property
    def url(self) -> URL:
        """The SQLAlchemy address, with the driver spelled out."""
        password = self.password.get_secret_value()
        port = self.port if isinstance(self.port, int) else None  # the others are in `place`
        return URL.create("postgresql+psycopg2", self.user, password, self.host, port, self.name)

    @property
    def place(self) -> dict[str, str]:
        """Where libpq connects to: of several hosts the first that takes writes."""
        place = {"host": self.host, "port": str(self.port)}
        return place | {"target_session_attrs": "read-write"} if "," in self.host else place

    @model_validator(mode="after")
    def _check_ports(self) -> "DatabaseSettings":
        hosts, ports = self.host.split(","), str(self.port).split(",")
        if len(ports) not in (1, len(hosts)):
            detail = "PORT must be one port, or as many as HOST has hosts"
            raise PydanticCustomError("ports", detail)
        return self


class BrokerSettings(Group):
    """RabbitMQ: where it is and as whom to log in."""

    host: str
    port: Port = 5672
    user: str
    password: SecretStr
    vhost: str
    queue: str

    def for_queue(self, queue: str) -> "BrokerSettings":
        """Return the same broker, for another queue."""
        return self.model_copy(update={"queue": queue})


class ServerSettings(Group):
    """Where an HTTP process listens, and with how many processes and threads."""

    bind: str = "0.0.0.0"
    workers: int = Field(2, ge=1, le=64)
    threads: int = Field(16, ge=1, le=256)


class AddressSettings(Group):
    """The address of the machine that a service runs on."""

    vm_ip: str


class PortSettings(Group):
    """A TCP port."""

    port: Port = 8080


class EventSettings(Group):
    """How a service tells of its changes: by its outbox, or strictly, within the request.

    Attributes:
        events_strict: whether a change needs the broker's confirm.
        event_publish_timeout_seconds: how long a strict change waits for it.
    """

    events_strict: bool = False
    event_publish_timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 2


class RetentionSettings(Group):
    """How long a service keeps what is no data of its business.

    Attributes:
        outbox_kept_hours: messages that RabbitMQ has confirmed.
        outbox_kept_rows: how many of those at most, however young they are.
        inbox_kept_days: the marks by which a consumer knows a redelivered message again.
    """

    outbox_kept_hours: Annotated[int, Field(ge=1, le=8760)] = 24
    outbox_kept_rows: Rows = 100_000
    inbox_kept_days: Days = 30


class ProcessSettings(Group):
    """What belongs to the process and not to its service."""

    state_dir: Path = Path(tempfile.gettempdir()) / "crud-master"
    # on a machine a link, which a deployment switches; so it must not be resolved
    code_dir: Path = Field(default_factory=Path.cwd)


@dataclass(frozen=True)
class Upstream:
    """A service that this one calls over HTTP."""

    name: str
    host: str
    port: int


GroupT = TypeVar("GroupT", bound=Group)


def read(group: type[GroupT], prefix: str = "", **given: object) -> GroupT:
    """Read a group of variables.

    Args:
        group: the class to fill.
        prefix: what the variables' names begin with, e.g. `INVENTORY_DB_`.
        given: fields that do not come from the environment.

    Raises:
        SettingsError: a variable is missing or malformed; the message names it.
    """
    try:
        source: dict[str, Any] = {"_env_prefix": prefix, "_env_file": os.environ.get("ENV_FILE")}
        return group(**source, **given)
    except ValidationError as error:
        raise SettingsError(_sentence(prefix, error)) from None


def read_upstream(service: str) -> Upstream:
    """Read where another service's API is, from its `*_VM_IP` and `*_API_PORT`."""
    prefix = f"{service.upper()}_"
    address = read(AddressSettings, prefix).vm_ip
    return Upstream(f"{service}-api", address, read(PortSettings, f"{prefix}API_").port)


def read_broker() -> BrokerSettings:
    """Read RabbitMQ's settings; it runs on billing-vm unless `RABBITMQ_HOST` says otherwise."""
    if os.environ.get("RABBITMQ_HOST") or _in_file("RABBITMQ_HOST"):
        return read(BrokerSettings, "RABBITMQ_")
    return read(BrokerSettings, "RABBITMQ_", host=read(AddressSettings, "BILLING_").vm_ip)


def _in_file(name: str) -> str | None:
    from dotenv import dotenv_values

    path = os.environ.get("ENV_FILE")
    return dotenv_values(path).get(name) if path else None


def _sentence(prefix: str, error: ValidationError) -> str:
    faults = (f"{prefix}{field}".upper() + f": {detail}" for field, detail in field_errors(error))
    return "settings: " + "; ".join(faults)
