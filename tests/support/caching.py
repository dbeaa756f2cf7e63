"""A gateway with a cache before an upstream that a test controls."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flask import Response, request
from flask.testing import FlaskClient

from chassis.http import app as web
from chassis.http.request import whole_body
from gateway.cache import versions
from gateway.cache.cached_proxy import Cache, CachedProxy
from gateway.cache.store import Store
from gateway.cache.versions import Versions
from gateway.proxy import UpstreamResponse
from gateway.routes import proxy_routes
from tools.stack.servers.redis import Redis

MOVIE, MOVIES, PRODUCT = "/api/movies/1", "/api/movies", "/api/products/1"


@dataclass
class FakeInventory:
    """An upstream with one value, which each unsafe request raises by 1; it counts its requests."""

    value: int = 0
    seconds: int = 60
    requests: list[str] = field(default_factory=list)
    failure: Exception | None = None
    status: int = 200
    hold: threading.Event | None = None
    """If set: a read has read its value, and waits for this event before it answers."""
    held: threading.Event = field(default_factory=threading.Event)

    def forward(self) -> Response:
        """Answer the current request."""
        whole_body()  # as the real proxy
        self.requests.append(f"{request.method} {request.path}")
        if self.failure is not None:
            raise self.failure
        if request.method not in ("GET", "HEAD"):
            self.value += 1
            return self._answer(self.value, [])
        value = self.value
        if (hold := self.hold) is not None:
            self.held.set()
            assert hold.wait(30)
        return self._answer(value, [("CDN-Cache-Control", f"max-age={self.seconds}")])

    def _answer(self, value: int, fields: list[tuple[str, str]]) -> Response:
        own = [("Content-Type", "application/json"), ("ETag", f'"{value}"')]
        return UpstreamResponse(b"%d\n" % value, self.status, [*own, *fields])


def worker(
    inventory: FakeInventory,
    redis: Path,
    directory: Path,
    stale_seconds: int = 60,
    redis_seconds: float = 10,
) -> FlaskClient:
    """A client of a worker of its own; workers with one `directory` share their versions.

    `redis_seconds` is long, as a test's Redis may be late on a busy machine.
    """
    cache = Cache(Versions(directory), Store(redis, redis_seconds), stale_seconds)
    proxy = CachedProxy(inventory, cache)
    routes = [proxy_routes(name, proxy) for name in ("movies", "products", "produits")]
    app = web.create_app("gateway", ready=[], routes=routes)
    return app.test_client(use_cookies=False)


@contextmanager
def followed(directory: Path) -> Iterator[Versions]:
    """Keep the versions as if the events of inventory were followed."""
    versions.prepare(directory)
    shared, stop = Versions(directory), threading.Event()
    shared.follow()

    def follow() -> None:
        while not stop.wait(0.5):
            shared.follow()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield shared
    finally:
        stop.set()
        thread.join()


@contextmanager
def running_redis(home: Path) -> Iterator[Redis]:
    """A Redis of its own for a block."""
    redis = Redis(home / "redis")
    redis.start()
    try:
        yield redis
    finally:
        redis.thaw()
        redis.kill()
