"""Makes what the processes of the cache share, before they start."""

import logging
from pathlib import Path

from gateway.cache import versions
from gateway.cache.settings import CacheSettings

logger = logging.getLogger(__name__)


def is_on(settings: CacheSettings, directory: Path | None) -> bool:
    """Return whether there is a cache."""
    return settings.cache == "on" and settings.redis_socket is not None and directory is not None


def prepare(settings: CacheSettings, directory: Path | None) -> None:
    """Make the file of the versions; without it, nothing is cached."""
    if directory is None or not is_on(settings, directory):
        return
    try:
        versions.prepare(directory)
    except OSError as error:
        logger.error("nothing is cached", extra={"error": str(error)})
