"""Reads settings from environment variables.

Each class is a group of variables under a prefix (`INVENTORY_DB_NAME` is `name` of the group read
with `INVENTORY_DB_`). Values come from the environment first, then from the file `ENV_FILE` names.

A variable that one service alone reads is in that service's settings.py. topology.yml lists the
variables of each role, so that provisioning passes them on.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from chassis.errors import SettingsError
from chassis.schema.validation import field_errors
from chassis.topology import PATRONI, RABBITMQ, Machine, Process, Queue
from chassis.topology_file import read_topology

Port = Annotated[int, Field(ge=1, le=65535)]


def _ports(value: object) -> int | str:
    """Read a port, or several as libpq takes them."""
    parts = [part.strip() for part in str(value).split(",")]
    if not all(re.fullmatch("[0-9]{1,5}", part) and 0 < int(part) < 65536 for part in parts):
        detail = "must be a port from 1 to 65535, or one for each host, separated by commas"
        raise PydanticCustomError("ports", detail)
    return int(parts[0]) if len(parts) == 1 else ",".join(parts)


Ports = Annotated[
    int | str,
    BeforeValidator(_ports),
    Field(description="1 to 65535, or one for each host, separated by commas"),
]
Address = Annotated[str, Field(description="an address")]
Days = Annotated[int, Field(ge=1, le=3650)]
Rows = Annotated[int, Field(ge=1, le=10_000_000)]


class Group(BaseSettings):
    """A group of variables that share a prefix."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)


class DatabaseSettings(Group):
    """A service's own PostgreSQL database.

    Attributes:
        host: its host; or several, separated by commas, of which one takes writes.
        port: for all hosts, or one for each, separated by commas.
    """

    host: Annotated[str, Field(description="a host, or a list")] = "localhost"
    port: Ports = 5432
    name: str
    user: str
    password: SecretStr

    @property
    def url(self) -> URL:
        """The SQLAlchemy address, with the driver spelled out."""
        password = self.password.get_secret_value()
        port = self.port if isinstance(self.port, int) else None  # several ports are in `place`
        return URL.create("postgresql+psycopg2", self.user, password, self.host, port, self.name)

    @property
    def place(self) -> dict[str, str]:
        """Where libpq connects to; of several hosts, the first that takes writes."""
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
    """RabbitMQ: address, login and queue.

    Attributes:
        host: its host; or those of a cluster's nodes, separated by commas.
    """

    host: Annotated[str, Field(description="a host, or a list")]
    port: Port = 5672
    user: str
    password: SecretStr
    vhost: str
    queue: str

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts, in the order in which they are tried."""
        return tuple(host.strip() for host in self.host.split(","))

    def for_queue(self, queue: str) -> "BrokerSettings":
        """Return the same broker, for another queue."""
        return self.model_copy(update={"queue": queue})

    def name_of(self, queue: Queue) -> str:
        """Return the name of a queue of topology.yml; `RABBITMQ_QUEUE` may have renamed it."""
        return queue.named({"RABBITMQ_QUEUE": self.queue})


class ServerSettings(Group):
    """Where an HTTP server listens, and its numbers of processes and threads."""

    bind: Address = "0.0.0.0"
    workers: int = Field(2, ge=1, le=64)
    threads: int = Field(16, ge=1, le=256)


class AddressSettings(Group):
    """The address of the machine that a service runs on."""

    vm_ip: Address


class PortSettings(Group):
    """A TCP port."""

    port: Port = 8080


class EventSettings(Group):
    """How a service publishes its events: through its outbox, or synchronously in the request.

    Attributes:
        events_strict: whether a change commits only after the broker's confirm.
        event_publish_timeout_seconds: how long such a change waits for it.
    """

    events_strict: bool = False
    event_publish_timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 2


class RetentionSettings(Group):
    """How long a service keeps technical rows.

    Attributes:
        outbox_kept_hours: messages that RabbitMQ has confirmed.
        outbox_kept_rows: the most rows of those, at any age.
        inbox_kept_days: the marks by which a consumer recognizes duplicates.
    """

    outbox_kept_hours: Annotated[int, Field(ge=1, le=8760)] = 24
    outbox_kept_rows: Rows = 100_000
    inbox_kept_days: Days = 30


class ProcessSettings(Group):
    """Settings of the process rather than its service.

    Attributes:
        process_name: its PM2 name; None if PM2 has not started it.
        machine_name: the machine that it runs on, by its name in topology.yml; None if that is not
            one of several machines.
    """

    process_name: str | None = None
    machine_name: str | None = None
    state_dir: Path = Path(tempfile.gettempdir()) / "crud-master"
    # on a machine a link that a deployment switches, so it must not be resolved
    code_dir: Path = Field(default_factory=Path.cwd)


@dataclass(frozen=True)
class Upstream:
    """A service that this one calls over HTTP.

    Attributes:
        further_hosts: the other machines that serve it from the same database.
    """

    name: str
    host: str
    port: int
    further_hosts: tuple[str, ...] = ()


GroupT = TypeVar("GroupT", bound=Group)


def read(group: type[GroupT], prefix: str = "", **given: object) -> GroupT:
    """Read a group of variables.

    Args:
        group: the class to fill.
        prefix: what the variables' names begin with, e.g. `INVENTORY_DB_`.
        given: fields that override the environment.

    Raises:
        SettingsError: a variable is missing or malformed; the message names it.
    """
    try:
        source: dict[str, Any] = {"_env_prefix": prefix, "_env_file": os.environ.get("ENV_FILE")}
        return group(**source, **given)
    except ValidationError as error:
        raise SettingsError(_sentence(prefix, error)) from None


def own_name(process: str) -> str:
    """Return the PM2 name of this process: `process`, or another one that runs the same command."""
    name = read(ProcessSettings).process_name
    known = {known.name: (known.service, known.runs) for known in read_topology().processes}
    return name if name in known and known[name] == known.get(process) else process


def read_port(process: str) -> PortSettings:
    """Read the port of a process, or of this one if it runs the same command.

    Raises:
        SettingsError: it is no port.
    """
    known = read_topology().process(own_name(process))
    is_given = known.port.name in os.environ or _in_file(known.port.name) is not None
    default = {} if is_given else {"port": int(known.port.default)}
    return read(PortSettings, known.prefix, **default)


def read_addresses(role: str) -> dict[Machine, str]:
    """Read the addresses of the machines of a role, of which the first has to be there.

    Of the others those are left out that have no address, as where everything runs on one machine.

    Raises:
        SettingsError: the first is missing.
    """
    return _addresses(read_topology().machines_of(role))


def _addresses(machines: Sequence[Machine]) -> dict[Machine, str]:
    first, *others = machines
    there = [first, *(machine for machine in others if _is_set(machine.address.name))]
    return {machine: read(AddressSettings, machine.prefix).vm_ip for machine in there}


def read_own_address(role: str) -> str:
    """Read the address of this machine, which has the role. Raises SettingsError."""
    name, addresses = read(ProcessSettings).machine_name, read_addresses(role)
    own = (address for machine, address in addresses.items() if machine.name == name)
    return next(own, next(iter(addresses.values())))


def read_upstream(role: str) -> Upstream:
    """Read where the API of a role is.

    If each of several machines has a database of its own, the first alone is called.

    Raises:
        SettingsError: an address or the port is missing or malformed.
    """
    server = server_of(role)
    host, *others = read_addresses(role).values()
    shares_database = PATRONI in read_topology().role(role).servers
    further = tuple(others) if shares_database else ()
    return Upstream(server.name, host, read_port(server.name).port, further)


def server_of(role: str) -> Process:
    """Return the process that serves the API of a role. Raises SettingsError."""
    server = read_topology().role(role).server
    if server is None:
        raise SettingsError(f"topology.yml has no process that serves the API of {role}")
    return server


def read_broker() -> BrokerSettings:
    """Read RabbitMQ's settings; it runs where topology.yml says, or on `RABBITMQ_HOST`."""
    if _is_set("RABBITMQ_HOST"):
        return read(BrokerSettings, "RABBITMQ_")
    hosts = _addresses(read_topology().machines_with(RABBITMQ)).values()
    return read(BrokerSettings, "RABBITMQ_", host=",".join(hosts))


def _is_set(variable: str) -> bool:
    return bool(os.environ.get(variable) or _in_file(variable))


def _in_file(name: str) -> str | None:
    from dotenv import dotenv_values

    path = os.environ.get("ENV_FILE")
    return dotenv_values(path).get(name) if path else None


def _sentence(prefix: str, error: ValidationError) -> str:
    faults = (f"{prefix}{field}".upper() + f": {detail}" for field, detail in field_errors(error))
    return "settings: " + "; ".join(faults)
