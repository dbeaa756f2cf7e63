"""A Redis, and versions that are followed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cache.versions import Versions
from tests.support.caching import FakeInventory, followed, running_redis
from tools.stack.servers.data_directories import private_home
from tools.stack.servers.redis import Redis


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[Redis]:
    """One Redis for all tests, whose keys begin with versions of their own."""
    with private_home() as home, running_redis(home) as redis:
        yield redis


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """A Redis that a test may break."""
    with private_home() as home, running_redis(home) as redis:
        yield redis


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where workers share their versions."""
    return tmp_path / "cache"


@pytest.fixture
def versions(directory: Path) -> Iterator[Versions]:
    """The versions, while events are followed."""
    with followed(directory) as shared:
        yield shared


@pytest.fixture
def inventory() -> FakeInventory:
    """An upstream."""
    return FakeInventory()
