"""The configuration of Redis."""

from pathlib import Path

from provisioning.redis.configuration import configuration


def test_redis_listens_on_a_socket_alone_and_keeps_nothing_on_disk() -> None:
    text = configuration(Path("/run/redis/one.sock"), "770", Path("/var/lib/redis"))
    lines = text.splitlines()
    for line in (
        "port 0",
        "unixsocket /run/redis/one.sock",
        "unixsocketperm 770",
        "dir /var/lib/redis",
        "maxmemory 32mb",
        "maxmemory-policy allkeys-lru",
        'save ""',
        "appendonly no",
    ):
        assert line in lines
