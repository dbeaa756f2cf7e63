"""A proxy that answers from the cache what it can, and invalidates what a write changes.

Source: RFC 9111 (caching), RFC 9211 (Cache-Status), RFC 5861 (stale-if-error).
"""

from dataclasses import dataclass
from typing import Protocol

from flask import Request, Response
from prometheus_client import Counter

from chassis.errors import UnavailableError, UpstreamError
from chassis.http import context
from chassis.http.request import whole_body
from gateway.cache import answers, entries, resources
from gateway.cache.entries import Entry
from gateway.cache.store import Store, StoreUnavailableError
from gateway.cache.versions import Versions

LONGEST_KEY = 1024  # bytes
READS = Counter("cache_reads", "Reads of what may be cached, by how they were answered", ["result"])
STORED = Counter("cache_stored", "Answers that were stored")
_HIT, _STALE, _MISS = READS.labels("hit"), READS.labels("stale"), READS.labels("miss")
_REQUESTED, _BYPASSED = READS.labels("requested"), READS.labels("bypassed")
_ERROR = READS.labels("error")
_FAILURES = (500, 502, 503, 504)


class Forwarder(Protocol):
    """What forwards the current request."""

    def forward(self) -> Response:
        """Forward the current request and return the answer."""


@dataclass(frozen=True)
class Cache:
    """What the proxies of a process share.

    Attributes:
        versions: those of this machine.
        store: Redis.
        stale_seconds: how long an expired answer may be shown while the upstream fails.
    """

    versions: Versions
    store: Store
    stale_seconds: int


class UncachedProxy:
    """A proxy without a cache; it hides the field that is for the gateway's cache alone."""

    def __init__(self, proxy: Forwarder) -> None:
        self._proxy = proxy

    def forward(self) -> Response:
        """Forward the current request and return the answer."""
        response = self._proxy.forward()
        response.headers.pop(answers.LIFETIME, None)
        return response


class CachedProxy:
    """A proxy of movies or products, whose answers do not depend on the caller."""

    def __init__(self, proxy: Forwarder, cache: Cache) -> None:
        self._proxy = proxy
        self._versions, self._store = cache.versions, cache.store
        self._stale_seconds = cache.stale_seconds

    def forward(self) -> Response:
        """Answer the current request from the cache, or forward it.

        Raises:
            UnavailableError: the upstream can't be reached, or is not called (503).
            UpstreamTimeoutError: it takes too long (504).
            UpstreamError: its answer is broken (502).
            HTTPException, MalformedJsonError: the body is refused; see `whole_body`.
        """
        request = context.request()
        if request.method in ("GET", "HEAD"):
            return self._read(request)
        return self._forward() if request.method == "OPTIONS" else self._write(request)

    def _forward(self) -> Response:
        response = self._proxy.forward()
        response.headers.pop(answers.LIFETIME, None)
        return response

    def _write(self, request: Request) -> Response:
        """Forward a write; what it may change is closed until it is answered."""
        # a body that is slow or refused must not keep anything closed: nothing is sent before it
        whole_body()
        slots = resources.written(request.method, request.path)
        mark = self._versions.close(slots)
        try:
            response = self._forward()
        except UnavailableError:
            # it was not sent
            self._versions.reopen(slots, mark)
            raise
        except BaseException:
            # its outcome is unknown, so what it may change stays closed
            self._versions.change(slots)
            self._versions.keep_closed(slots)
            raise
        self._versions.change(slots)
        self._versions.reopen(slots, mark)
        return response

    def _read(self, request: Request) -> Response:
        slots = resources.read(request.path)
        if slots is None or not answers.is_plain():
            return self._forward()
        versions = self._versions.current(slots)
        if versions is None:
            _BYPASSED.inc()
            detail = "changing" if self._versions.is_followed() else "unfollowed"
            return answers.marked(self._forward(), f"fwd=bypass; detail={detail}")
        key = versions + answers.request_key()
        if len(key) > LONGEST_KEY:
            return self._forward()
        return self._look_up(key)

    def _look_up(self, key: bytes) -> Response:
        """Answer with what is stored under `key`, or forward and store."""
        try:
            data = self._store.get(key)
        except StoreUnavailableError:
            _ERROR.inc()
            return answers.marked(self._forward(), "fwd=bypass; detail=unavailable")
        if data is None:
            _MISS.inc()
            return self._fetch(key, "uri-miss")
        entry = entries.decode(data)
        if not answers.is_accepted(entry.age):
            _REQUESTED.inc()
            return self._fetch(key, "request")
        if entry.ttl <= 0:
            return self._fetch_or_stale(key, entry)
        if (response := answers.shown(entry, f"hit; ttl={entry.ttl}")) is None:
            return self._forward()
        _HIT.inc()
        return response

    def _fetch(self, key: bytes, reason: str) -> Response:
        response = self._proxy.forward()
        stored = "; stored" if self._keep(key, response) else ""
        response.headers.pop(answers.LIFETIME, None)
        return answers.marked(response, f"fwd={reason}{stored}")

    def _fetch_or_stale(self, key: bytes, entry: Entry) -> Response:
        """Forward; if the upstream fails, answer with what has expired a short time ago."""
        instead = None
        if -entry.ttl < self._stale_seconds:
            instead = answers.shown(entry, f"fwd=stale; ttl={entry.ttl}; detail=stale-if-error")
        try:
            response = self._fetch(key, "stale")
        except (UnavailableError, UpstreamError):
            if instead is None:
                raise
            _STALE.inc()
            return instead
        if instead is not None and response.status_code in _FAILURES:
            _STALE.inc()
            return instead
        _MISS.inc()
        return response

    def _keep(self, key: bytes, response: Response) -> bool:
        """Store an answer if the upstream allows it; return whether it is stored."""
        seconds = answers.lifetime(response)
        if seconds == 0:
            return False
        data = entries.encode(answers.kept_fields(response), response.get_data(), seconds)
        try:
            self._store.set(key, data, (seconds + self._stale_seconds) * 1000)
        except StoreUnavailableError:
            return False
        STORED.inc()
        return True
