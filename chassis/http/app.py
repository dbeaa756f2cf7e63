"""The application that all services start from."""

import logging
import time
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import orjson
from flask import Blueprint, Flask, Request, Response
from flask.json.provider import JSONProvider
from prometheus_client import Histogram

from chassis import metrics, trace
from chassis.errors import shortened
from chassis.http import context, health, problems, security_headers
from chassis.http.application import Application
from chassis.http.converters import AnyPath, Other
from chassis.http.keyed_posts import KeyedPosts, post_endpoints
from chassis.http.response import JSON, CompleteResponse
from chassis.http.unread_bodies import UnreadBodies
from chassis.json import encode

DURATION = "http_request_duration_seconds"
REQUESTS = Histogram(
    DURATION,
    "Time to answer a request, by method, route and status",
    ["method", "route", "status"],
    buckets=metrics.SECONDS,
)
MAX_BODY = 1024 * 1024  # bytes
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
_LONGEST_LOGGED_PATH = 2000  # characters
logger = logging.getLogger(__name__)


class Json(JSONProvider):
    """JSON with money as a number of two decimals and times in RFC 3339."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Encode `obj`."""
        return encode(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Decode `s`; request bodies go through `chassis.http.request`, which keeps decimals."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Answer with `args` or `kwargs` as the body."""
        obj = self._prepare_response_obj(args, kwargs)
        return CompleteResponse(encode(obj) + b"\n", content_type=JSON)


def create_app(
    process: str,
    *,
    ready: Sequence[health.Check],
    routes: Iterable[Blueprint] = (),
    health_routes: Iterable[Blueprint] | None = None,
    keys: KeyedPosts | None = None,
) -> Flask:
    """Build an application with health, metrics, traces, logs and problem documents.

    Args:
        process: the PM2 name of the process, for logs and health.
        ready: what the process can't work without.
        routes: the service's own routes.
        health_routes: replace those of `chassis.http.health`, which are public.
        keys: where Idempotency-Keys are stored; required with POST routes under `/api`.

    Raises:
        ValueError: there is such a route, and `keys` is None.
    """
    app = Application(process)
    app.json = Json(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.converters.update(path=AnyPath, other=Other)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    problems.init_app(app)
    app.before_request(_begin)
    app.after_request(_end)
    app.wsgi_app = UnreadBodies(app.wsgi_app)  # type: ignore[method-assign]
    if health_routes is None:
        health_routes = health.routes(process, ready)
    for blueprint in (*health_routes, *routes):
        app.register_blueprint(blueprint)
    if keys is not None:
        keys.init_app(app)
    elif unkeyed := post_endpoints(app):
        raise ValueError(f"POST without a store for Idempotency-Keys: {', '.join(unkeyed)}")
    return app


def _begin() -> None:
    context.g().started = time.perf_counter()
    environ = context.request().environ
    parent, request_id = environ.get("HTTP_TRACEPARENT", ""), environ.get("HTTP_X_REQUEST_ID", "")
    trace.enter(trace.of(parent, request_id))


def _end(response: Response) -> Response:
    request, g = context.request(), context.g()
    seconds = time.perf_counter() - g.started
    current = trace.current()
    security_headers.harden(response, current.request_id if current else None)
    route = request.url_rule.rule if request.url_rule else "none"
    method = request.method if request.method in METHODS else "other"
    _requests(method, route, response.status_code).observe(seconds)
    if not g.get("quiet"):
        _log(request, response.status_code, seconds)
    return response


# methods, routes and statuses are few
@cache
def _requests(method: str, route: str, status: int) -> Histogram:
    return REQUESTS.labels(method, route, status)


def _log(request: Request, status: int, seconds: float) -> None:
    extra = {
        "method": request.method,
        "path": shortened(request.path, _LONGEST_LOGGED_PATH),
        "status": status,
        "milliseconds": round(seconds * 1000, 2),
        "client": request.remote_addr,
    }
    logger.info("request answered", extra=extra)
