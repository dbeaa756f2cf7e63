"""Sets up the cache of a worker."""

from pathlib import Path

from gateway.cache.cached_proxy import Cache, CachedProxy, Forwarder, UncachedProxy
from gateway.cache.preparation import is_on
from gateway.cache.settings import CacheSettings
from gateway.cache.store import Store
from gateway.cache.versions import Versions


def create(settings: CacheSettings, directory: Path | None) -> Cache | None:
    """Return the cache of a worker; None if it is off.

    What is cached is invalidated: an earlier worker may have died in the middle of a write.
    """
    socket = settings.redis_socket
    if directory is None or socket is None or not is_on(settings, directory):
        return None
    shared = Versions(directory)
    shared.change_all()
    return Cache(shared, Store(socket), settings.cache_stale_seconds)


def proxied(proxy: Forwarder, cache: Cache | None) -> Forwarder:
    """Return a proxy of movies or products, with a cache if there is one."""
    return UncachedProxy(proxy) if cache is None else CachedProxy(proxy, cache)
