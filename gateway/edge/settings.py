"""The variables of the edge: limits, trusted proxies, origins and hosts."""

import re
from ipaddress import ip_network
from typing import Annotated, Any

import limits
from limits import RateLimitItem
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from chassis.settings import Group
from gateway.edge.forwarded import Network

EVERY_ORIGIN = "*"
NO_LIMIT = "none"
_LIMIT = re.compile(r"[1-9][0-9]{0,8}/(second|minute|hour|day)", re.ASCII)
_ORIGIN = re.compile(
    r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?", re.ASCII | re.IGNORECASE
)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII | re.IGNORECASE)


def _limit(value: str) -> str:
    text = value.strip().lower()
    if text != NO_LIMIT and not _LIMIT.fullmatch(text):
        detail = f"must be {NO_LIMIT}, or NUMBER/second, /minute, /hour or /day"
        raise PydanticCustomError("rate_limit", detail)
    return text


def _words(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(word.strip() for word in value.split(",")) if value.strip() else ()


def _networks(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        try:
            ip_network(word)
        except ValueError:
            detail = "'{word}' is neither an IP address nor a network such as 10.0.0.0/8"
            raise PydanticCustomError("network", detail, {"word": word}) from None
    return words


def _origins(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if words != (EVERY_ORIGIN,) and not _ORIGIN.fullmatch(word):
            detail = "'{word}' is no origin such as https://example.org; say * alone, or list them"
            raise PydanticCustomError("origin", detail, {"word": word})
    return words


def _hosts(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if not _HOST.fullmatch(word):
            detail = "'{word}' is no host such as api.example.org; list names without ports"
            raise PydanticCustomError("host", detail, {"word": word})
    return words


RateLimit = Annotated[
    str,
    AfterValidator(_limit),
    Field(description="NUMBER`/second`, `/minute`, `/hour` or `/day`; or `none`"),
]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]


class EdgeSettings(Group):
    """What the gateway accepts from outside.

    Attributes:
        rate_limit_reads: the limit of GET, HEAD and OPTIONS, per client and class of resources.
        rate_limit_writes: the same for all other methods.
        trusted_proxies: addresses and networks whose `X-Forwarded-*` headers are trusted.
        cors_origins: the origins whose pages may call the API.
        allowed_hosts: the names and addresses that the gateway answers to; empty for any.
    """

    rate_limit_reads: RateLimit = "600000/minute"
    rate_limit_writes: RateLimit = "300000/minute"
    trusted_proxies: Annotated[
        Words, AfterValidator(_networks), Field(description="a list of addresses and networks")
    ] = ()
    cors_origins: Annotated[
        Words, AfterValidator(_origins), Field(description="a list of origins, or `*`")
    ] = ()
    allowed_hosts: Annotated[
        Words, AfterValidator(_hosts), Field(description="a list of names, without ports")
    ] = ()

    @property
    def reads(self) -> RateLimitItem | None:
        """The limit of reads; None for none."""
        return _item(self.rate_limit_reads)

    @property
    def writes(self) -> RateLimitItem | None:
        """The limit of writes; None for none."""
        return _item(self.rate_limit_writes)

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The networks of trusted proxies."""
        return tuple(ip_network(word) for word in self.trusted_proxies)


def _item(text: str) -> RateLimitItem | None:
    return None if text == NO_LIMIT else limits.parse(text)
