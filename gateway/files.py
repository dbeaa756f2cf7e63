"""Files that browsers load: with an ETag, under a policy that lets nothing in from elsewhere.

Source: https://www.w3.org/TR/CSP3/.
"""

from pathlib import Path

from flask import Response, send_from_directory

STATIC = Path(__file__).parent / "static"
POLICY = "; ".join(
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


def send(directory: Path, name: str) -> Response:
    """Answer with a file; a browser asks each time whether it has changed.

    Raises:
        werkzeug.exceptions.NotFound: there is no such file in `directory`.
    """
    response = send_from_directory(directory, name)
    response.headers["Content-Security-Policy"] = POLICY
    return response
