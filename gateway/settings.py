"""Which variables the gateway reads."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic.functional_validators import AfterValidator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from chassis.settings import (
    AddressSettings,
    BrokerSettings,
    DatabaseSettings,
    Days,
    Group,
    PortSettings,
    ProcessSettings,
    RetentionSettings,
    Rows,
    ServerSettings,
    Upstream,
    read,
    read_broker,
    read_upstream,
)
from gateway.auth.scopes import CLASSES, EVERY_CLASS, words
from gateway.edge.settings import EdgeSettings
from gateway.status.platform import SERVICES, Machine, Platform, Process, queues_of

COUNTERS = "gateway/requests.counters"  # below STATE_DIR
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


def _strong(value: SecretStr) -> SecretStr:
    if not _API_TOKEN.fullmatch(value.get_secret_value()):
        raise PydanticCustomError("api_token", "must be 8 to 512 visible ASCII characters")
    return value


class AuthSettings(Group):
    """Which classes of resources need a token, and the one that is there from the start.

    Attributes:
        auth_protected: the classes.
        api_token: allows everything; None, without the variable, if there is no such token.
    """

    auth_protected: Annotated[frozenset[str], NoDecode, BeforeValidator(_classes)] = frozenset(
        ["orders"]
    )
    api_token: Annotated[SecretStr, AfterValidator(_strong)] | None = None


class DocsSettings(Group):
    """Where the npm package swagger-ui-dist is; None if it is not installed."""

    swagger_ui_dir: Path | None = None


class DatabaseName(Group):
    """What a service's database is called."""

    name: str


class GatewayServerSettings(ServerSettings):
    """Where the gateway listens; with threads for all four upstreams to hang, and more."""

    threads: Annotated[int, Field(ge=1, le=256)] = 160


class Retention(RetentionSettings):
    """How long the gateway keeps what is no data of its business.

    Attributes:
        events_kept_days: events of other systems that RabbitMQ has confirmed.
        events_kept_rows: how many of those at most, however young they are.
    """

    events_kept_days: Days = 30
    events_kept_rows: Rows = 1_000_000


@dataclass(frozen=True)
class Settings:
    """The gateway's configuration.

    Attributes:
        address: the gateway's own, by which other machines know it.
        counters: the file in which its workers count requests; None to count in each for itself.
    """

    server: ServerSettings
    port: PortSettings
    relay_port: PortSettings
    database: DatabaseSettings
    broker: BrokerSettings
    inventory: Upstream
    billing: Upstream
    customers: Upstream
    orders: Upstream
    auth: AuthSettings
    edge: EdgeSettings = field(default_factory=EdgeSettings)
    address: str | None = None
    counters: Path | None = None
    docs: DocsSettings = field(default_factory=DocsSettings)
    platform: Platform = field(default_factory=Platform)
    retention: Retention = field(default_factory=Retention)


def load() -> Settings:
    """Read `GATEWAY_*`, `RABBITMQ_*`, `AUTH_PROTECTED`, `API_TOKEN` and where all processes are.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    broker = read_broker()
    return Settings(
        server=read(GatewayServerSettings, "GATEWAY_"),
        port=read(PortSettings, "GATEWAY_"),
        relay_port=read(PortSettings, "GATEWAY_RELAY_"),
        database=read(DatabaseSettings, "GATEWAY_DB_"),
        broker=broker,
        inventory=read_upstream("inventory"),
        billing=read_upstream("billing"),
        customers=read_upstream("customers"),
        orders=read_upstream("orders"),
        auth=read(AuthSettings),
        edge=read(EdgeSettings),
        address=read(AddressSettings, "GATEWAY_").vm_ip,
        counters=read(ProcessSettings).state_dir.absolute() / COUNTERS,
        docs=read(DocsSettings),
        retention=read(Retention),
        platform=Platform(tuple(_machine(service, broker.queue) for service in SERVICES)),
    )


def _machine(service: str, bills: str) -> Machine:
    prefix = f"{service.upper()}_"
    address = read(AddressSettings, prefix).vm_ip
    processes = (_process(name, address, bills) for name in SERVICES[service])
    database = read(DatabaseName, f"{prefix}DB_").name
    return Machine(f"{service}-vm", address, database, tuple(processes))


def _process(name: str, address: str, bills: str) -> Process:
    port = read(PortSettings, f"{name.upper().replace('-', '_')}_").port
    return Process(name, address, port, queues_of(name, bills))
