"""The cache behind the gateway's tokens and limits, and its variables."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cache.settings import CacheSettings
from gateway.cache.versions import Versions
from tests.support import token_gateway
from tests.support.caching import MOVIE
from tests.support.raw_upstream import answering
from tests.support.token_gateway import API_TOKEN, Gateway, bearing
from tools.stack.servers.redis import Redis
from tools.stack.waiting import wait_until

gateway = token_gateway.gateway
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCDN-Cache-Control: max-age=60\r\n\r\n[]"


@pytest.fixture
def caching(gateway: Gateway, shared_redis: Redis, directory: Path, versions: Versions) -> Gateway:
    """A gateway with a cache, before an upstream whose answers may be kept."""
    gateway.upstream.acts = [answering(ANSWER)]
    cache = CacheSettings(redis_socket=shared_redis.socket)
    gateway.settings = replace(gateway.settings, cache=cache, versions=directory)
    return gateway


def test_what_a_token_protects_is_not_shown_from_the_cache_without_one(caching: Gateway) -> None:
    client = caching.client("movies")

    def is_hit() -> bool:
        answer = client.get(MOVIE, headers=bearing(API_TOKEN))
        assert answer.status_code == 200
        # for a cache of the client
        assert answer.headers["Cache-Control"] == "no-store"
        return "hit" in answer.headers["Cache-Status"]

    wait_until(is_hit, 10, "a hit")
    refused = client.get(MOVIE)
    assert (refused.status_code, "Cache-Status" in refused.headers) == (401, False)


def test_the_cache_can_be_turned_off(caching: Gateway) -> None:
    off = caching.settings.cache.model_copy(update={"cache": "off"})
    caching.settings = replace(caching.settings, cache=off)
    client = caching.client("none")
    for _ in range(2):
        answer = client.get(MOVIE)
        assert "Cache-Status" not in answer.headers
        assert "CDN-Cache-Control" not in answer.headers
    assert len(caching.upstream.requests) == 2
