"""Files for browsers: with an ETag, and a policy that forbids loading anything from elsewhere.

Source: https://www.w3.org/TR/CSP3/.
"""

import mimetypes
from hashlib import sha256
from pathlib import Path

from flask import Response, abort, request
from werkzeug.security import safe_join

from chassis.http.security_headers import PAGE_POLICY

STATIC = Path(__file__).parent / "static"


def send(directory: Path, name: str) -> Response:
    """Answer with a file.

    Raises:
        werkzeug.exceptions.NotFound: there is no such file in `directory`.
    """
    path = safe_join(str(directory), name)
    if path is None or not Path(path).is_file():
        abort(404)
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    response = answer(Path(path).read_bytes(), media_type)
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response


def answer(data: bytes, media_type: str) -> Response:
    """Answer with `data`; a cache must ask each time whether they have changed."""
    response = Response(data, mimetype=media_type)
    response.set_etag(sha256(data).hexdigest())
    response.cache_control.no_cache = True
    response.make_conditional(request)
    return response
