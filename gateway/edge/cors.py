"""CORS: pages of the origins in `CORS_ORIGINS` may call the API, never with credentials.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from collections.abc import Collection

from flask import Flask, Response, request
from flask_cors import CORS

from gateway.edge.settings import EVERY_ORIGIN

_EXPOSED = (
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
)
_PREFLIGHT_SECONDS = 600  # how long a browser caches a preflight


def init_app(app: Flask, origins: Collection[str]) -> None:
    """Let pages of these origins call `/api/`; without origins, change nothing."""
    if not origins:
        return
    app.before_request(_preflight)
    CORS(
        app,
        resources=r"/api/.*",
        origins=sorted(origins),
        expose_headers=_EXPOSED,
        send_wildcard=EVERY_ORIGIN in origins,
        max_age=_PREFLIGHT_SECONDS,
    )


def _preflight() -> Response | None:
    """Answer a preflight here; the services know nothing of origins."""
    is_cors = "Origin" in request.headers and "Access-Control-Request-Method" in request.headers
    if request.method == "OPTIONS" and is_cors and request.path.startswith("/api/"):
        return Response(status=204)
    return None
