"""The variables that the gateway reads."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic.functional_validators import AfterValidator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from chassis import topology
from chassis.service_settings import ServiceSettings, read_service
from chassis.settings import (
    BrokerSettings,
    Days,
    Group,
    ProcessSettings,
    RetentionSettings,
    Rows,
    ServerSettings,
    Upstream,
    read,
    read_addresses,
    read_broker,
    read_own_address,
    read_port,
    read_upstream,
)
from chassis.topology_file import read_topology
from gateway.auth.scopes import CLASSES, EVERY_CLASS, words
from gateway.cache.settings import CacheSettings
from gateway.edge.settings import EdgeSettings
from gateway.status.platform import Machine, Platform, Process

PROCESS = "gateway"
COUNTERS = "gateway/requests.counters"  # below STATE_DIR
VERSIONS = "gateway/cache"  # below STATE_DIR
NO_CLASS = "none"
_API_TOKEN = re.compile(r"[\x21-\x7e]{8,512}")


def _classes(value: str | frozenset[str]) -> frozenset[str]:
    if isinstance(value, frozenset):
        return value
    chosen = words(value)
    if chosen == [EVERY_CLASS]:
        return frozenset(CLASSES)
    if chosen == [NO_CLASS]:
        return frozenset()
    for word in chosen:
        if word not in CLASSES:
            detail = "'{word}' is none of {classes}; say all or none alone, or list classes"
            context = {"word": word, "classes": ", ".join(CLASSES)}
            raise PydanticCustomError("resource_class", detail, context)
    return frozenset(chosen)


def _checked_token(value: SecretStr) -> SecretStr:
    if not _API_TOKEN.fullmatch(value.get_secret_value()):
        raise PydanticCustomError("api_token", "must be 8 to 512 visible ASCII characters")
    return value


class AuthSettings(Group):
    """The classes of resources that need a token, and the bootstrap token.

    Attributes:
        auth_protected: the classes.
        api_token: the bootstrap token, which allows everything; None without the variable.
    """

    auth_protected: Annotated[
        frozenset[str],
        NoDecode,
        BeforeValidator(_classes),
        Field(description=f"`all`, `none`, or a list of {', '.join(f'`{c}`' for c in CLASSES)}"),
    ] = frozenset(["orders"])
    api_token: (
        Annotated[
            SecretStr,
            AfterValidator(_checked_token),
            Field(description="a secret of 8 to 512 visible ASCII characters"),
        ]
        | None
    ) = None


class DocsSettings(Group):
    """The directory of the npm package swagger-ui-dist; None if it is not installed."""

    swagger_ui_dir: Path | None = None


class DatabaseName(Group):
    """The name of a service's database."""

    name: str


class GatewayServerSettings(ServerSettings):
    """The gateway's server; it has threads left even if all four upstreams hang."""

    threads: Annotated[int, Field(ge=1, le=256)] = 160


class Retention(RetentionSettings):
    """How long the gateway keeps delivered events.

    Attributes:
        events_kept_days: for events of other systems that RabbitMQ has confirmed.
        events_kept_rows: the most of those events that are kept, whatever their age.
    """

    events_kept_days: Days = 30
    events_kept_rows: Rows = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """The gateway's configuration.

    Attributes:
        address: the gateway's own address, as other machines know it.
        counters: the file in which its workers count requests; None: each worker counts alone.
        versions: the directory in which processes share the versions of what is cached; None: it
            is not cached.
    """

    inventory: Upstream
    billing: Upstream
    customers: Upstream
    orders: Upstream
    auth: AuthSettings
    edge: EdgeSettings = field(default_factory=EdgeSettings)
    address: str | None = None
    counters: Path | None = None
    cache: CacheSettings = field(default_factory=CacheSettings)
    versions: Path | None = None
    docs: DocsSettings = field(default_factory=DocsSettings)
    platform: Platform = field(default_factory=Platform)
    retention: Retention = field(default_factory=Retention)


def load() -> Settings:
    """Read `GATEWAY_*`, `RABBITMQ_*`, `AUTH_PROTECTED`, `API_TOKEN` and all processes' addresses.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    broker, address = read_broker(), read_own_address("gateway")
    state = read(ProcessSettings).state_dir.absolute()
    return read_service(
        Settings,
        "gateway",
        GatewayServerSettings,
        broker=broker,
        inventory=read_upstream("inventory"),
        billing=read_upstream("billing"),
        customers=read_upstream("customers"),
        orders=read_upstream("orders"),
        auth=read(AuthSettings),
        edge=read(EdgeSettings),
        address=address,
        counters=state / COUNTERS,
        cache=read(CacheSettings),
        versions=state / VERSIONS,
        docs=read(DocsSettings),
        retention=read(Retention),
        platform=_platform(broker, address),
    )


def _platform(broker: BrokerSettings, own_address: str) -> Platform:
    topology = read_topology()
    addresses = {m: at for role in topology.roles for m, at in read_addresses(role.name).items()}
    present = [machine for machine in topology.machines if machine in addresses]
    machines = tuple(_machine(machine, addresses[machine], broker) for machine in present)
    others = (queue for queue in topology.queues if queue not in topology.consumed)
    own = (
        process.key
        for machine in machines
        for process in machine.processes
        if (machine.address, process.name) == (own_address, PROCESS)
    )
    return Platform(machines, tuple(map(broker.name_of, others)), next(own, None))


def _machine(machine: topology.Machine, address: str, broker: BrokerSettings) -> Machine:
    role = machine.role
    database = read(DatabaseName, role.database_prefix).name if role.database else None
    processes = tuple(_process(process, address, broker) for process in role.processes)
    return Machine(
        machine.name, address, database, processes, role.name, role.servers, role.entrance
    )


def _process(process: topology.Process, address: str, broker: BrokerSettings) -> Process:
    consumed = (broker.name_of(read_topology().queue(name)) for name in process.consumes)
    port = read_port(process.name).port
    return Process(process.name, address, port, tuple(consumed), process.kind)
