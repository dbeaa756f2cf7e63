"""Headers that keep browsers from misinterpreting answers.

Source: https://www.w3.org/TR/CSP3/ and https://fetch.spec.whatwg.org/#x-content-type-options-header
"""

from flask import Response

from chassis.http.response import put

SERVER = "crud-master"  # without it the server would name itself
PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


_ID = "X-Request-ID"
_FIELDS = (("Server", SERVER), ("X-Content-Type-Options", "nosniff"))
_NAMES = frozenset(name.lower() for name in (*dict(_FIELDS), _ID))


def harden(response: Response, request_id: str | None) -> None:
    """Add the headers, and X-Request-ID; a page with its own Content-Security-Policy keeps it."""
    headers = response.headers
    put(headers, _NAMES, _FIELDS if request_id is None else (*_FIELDS, (_ID, request_id)))
    if headers.get("Content-Type", "").lower().startswith("text/html"):
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
