"""Which variables the gateway reads."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic.functional_validators import AfterValidator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    Group,
    PortSettings,
    ServerSettings,
    Upstream,
    read,
    read_broker,
    read_upstream,
)
from gateway.scopes import CLASSES, EVERY_CLASS, words

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


class GatewayServerSettings(ServerSettings):
    """Where the gateway listens; with threads for all four upstreams to hang, and more."""

    threads: Annotated[int, Field(ge=1, le=256)] = 160


@dataclass(frozen=True)
class Settings:
    """The gateway's configuration."""

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


def load() -> Settings:
    """Read `GATEWAY_*`, `RABBITMQ_*`, `AUTH_PROTECTED`, `API_TOKEN` and where the others are.

    Raises:
        SettingsError: a variable is missing or malformed.
    """
    return Settings(
        server=read(GatewayServerSettings, "GATEWAY_"),
        port=read(PortSettings, "GATEWAY_"),
        relay_port=read(PortSettings, "GATEWAY_RELAY_"),
        database=read(DatabaseSettings, "GATEWAY_DB_"),
        broker=read_broker(),
        inventory=read_upstream("inventory"),
        billing=read_upstream("billing"),
        customers=read_upstream("customers"),
        orders=read_upstream("orders"),
        auth=read(AuthSettings),
    )
