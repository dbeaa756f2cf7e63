"""The variables of the cache."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from chassis.settings import Group


class CacheSettings(Group):
    """Whether and where the gateway caches.

    Attributes:
        cache: whether it caches.
        cache_stale_seconds: how long an expired answer may be shown while inventory-api can't be
            reached.
        redis_socket: the unix socket of Redis; None turns the cache off, too.
    """

    cache: Literal["on", "off"] = "on"
    cache_stale_seconds: Annotated[int, Field(ge=0, le=86400)] = 60
    redis_socket: Path | None = None
