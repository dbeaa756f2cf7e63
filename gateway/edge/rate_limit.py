"""Rate limits: requests per client and class of resources, reads and writes counted separately.

Source for the headers: draft-ietf-httpapi-ratelimit-headers-10, "RateLimit header fields for HTTP".
"""

import logging
import threading
import time
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_network
from pathlib import Path

from flask import Blueprint, Response
from limits import RateLimitItem

from chassis.errors import TooManyRequestsError
from chassis.http import context
from gateway.edge import shared_counters
from gateway.edge.shared_counters import SharedCounters, window_end

_READ_METHODS = ("GET", "HEAD", "OPTIONS")
RETRY_SECONDS = 1.0
_NETWORK_BITS = 64  # of an IPv6 address; a client commonly has the whole network
Limits = Mapping[str, RateLimitItem | None]
logger = logging.getLogger(__name__)


def prepare(counters: Path | None, workers: int) -> None:
    """Create the workers' shared file anew, before they start; log if that fails."""
    try:
        if counters is not None:
            shared_counters.prepare(counters, workers)
    except OSError as error:
        _log_unlimited(error)


class Limiter:
    """Limits requests to routes; a request that it can't count passes."""

    def __init__(
        self, reads: RateLimitItem | None, writes: RateLimitItem | None, counters: Path | None
    ) -> None:
        """Prepare to count.

        Args:
            reads: the limit of GET, HEAD and OPTIONS; None for none.
            writes: the limit of all other methods; None for none.
            counters: the file that the workers share; None to count in this process alone.
        """
        self._limits: Limits = {"reads": reads, "writes": writes}
        self._counters = RetriedCounters(counters)

    def limit(self, resource_class: str, routes: Blueprint) -> Blueprint:
        """Return `routes`, limited; call it before any other check is added to them."""
        routes.before_request(lambda: self._admit(resource_class))
        routes.after_request(_add_headers)
        return routes

    def _admit(self, resource_class: str) -> None:
        """Count the request.

        Raises:
            TooManyRequestsError: the client has sent too many.
        """
        request = context.request()
        action = "reads" if request.method in _READ_METHODS else "writes"
        limit = self._limits[action]
        if limit is None or (counters := self._counters.get()) is None:
            return
        amount, period = limit.amount, limit.get_expiry()
        name = f"{resource_class}-{action}"
        client = _client(request.remote_addr or "unknown")
        end = window_end(period)
        count = counters.incr(f"{client}/{name}/{amount}/{period}", period)
        wait = max(1, round(end - time.time()))
        context.g().rate_limit = (
            ("RateLimit-Policy", f'"{name}";q={amount};w={period}'),
            ("RateLimit", f'"{name}";r={max(0, amount - count)};t={wait}'),
        )
        if count > amount:
            detail = f"More than {amount} {action} of {resource_class} in {period} s."
            raise TooManyRequestsError(detail, retry_after=wait)


class RetriedCounters:
    """The counters of this process; opening them is retried until it succeeds.

    It fails while all lanes of the file are taken, by workers of three generations after two quick
    deployments, or while the disk is full.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._opened: SharedCounters | None = None
        self._failed = False
        self._try_at = 0.0
        self._try()

    def get(self) -> SharedCounters | None:
        """Return the counters; None while there are none."""
        if self._opened is None and time.monotonic() >= self._try_at:
            with self._lock:
                self._try()
        return self._opened

    def _try(self) -> None:
        if self._opened is not None or time.monotonic() < self._try_at:
            return
        try:
            self._opened = SharedCounters(self._path)
        except OSError as error:
            self._try_at = time.monotonic() + RETRY_SECONDS
            if not self._failed:
                _log_unlimited(error)
            self._failed = True
        else:
            if self._failed:
                logger.info("requests are limited again")


def _log_unlimited(error: OSError) -> None:
    logger.error("requests are not limited", extra={"error": str(error)})


def _add_headers(response: Response) -> Response:
    for name, value in context.g().get("rate_limit", ()):
        response.headers[name] = value
    return response


def _client(address: str) -> str:
    """Return the client to count for: an IPv4 address, or the network of an IPv6 address."""
    if ":" not in address:
        return address
    network = ip_network((IPv6Address(address), _NETWORK_BITS), strict=False)
    return str(network.network_address)
