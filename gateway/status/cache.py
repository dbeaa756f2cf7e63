"""The cache of a snapshot."""

import time
from typing import Any

from chassis.topology import REDIS
from gateway.cache.cached_proxy import Cache
from gateway.cache.store import StoreUnavailableError
from gateway.status import probe
from gateway.status.platform import Platform
from gateway.status.probe import ProbeError
from gateway.status.probes import ProbeResult

_UNFOLLOWED = "gateway-relay does not follow inventory_events, so nothing is shown from the cache."


def read(cache: Cache) -> float:
    """Return how long Redis took to answer, in milliseconds.

    Raises:
        ProbeError: nothing is cached, and why.
    """
    began = time.perf_counter()
    try:
        cache.store.ping(probe.SECONDS)
    except StoreUnavailableError as error:
        raise ProbeError(str(error)) from error
    if not cache.versions.is_followed():
        raise ProbeError(_UNFOLLOWED)
    return round((time.perf_counter() - began) * 1000, 2)


def shown(platform: Platform, found: ProbeResult | None) -> dict[str, Any] | None:
    """Describe the cache of this gateway; None if it is off."""
    if found is None:
        return None
    places = [machine for machine in platform.machines if REDIS in machine.servers]
    own = [m.name for m in places if any(p.key == platform.own for p in m.processes)]
    name = next(iter([*own, *(machine.name for machine in places)]), None)
    status = "up" if found.failure is None else "down"
    return {
        "machine": name,
        "status": status,
        "milliseconds": found.value,
        "detail": found.failure,
    }
