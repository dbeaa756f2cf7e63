"""Headers that keep browsers from misinterpreting answers.

Source: https://www.w3.org/TR/CSP3/ and https://fetch.spec.whatwg.org/#x-content-type-options-header
"""

from flask import Response

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


def harden(response: Response) -> Response:
    """Add the headers; a page with its own Content-Security-Policy keeps it."""
    headers = response.headers
    headers["Server"] = SERVER
    headers["X-Content-Type-Options"] = "nosniff"
    if headers.get("Content-Type", "").lower().startswith("text/html"):
        headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    return response
