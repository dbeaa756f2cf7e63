"""Conditional requests: an answer that the client has already is not sent again.

Source: RFC 9110, sections 8.8.3 (ETag), 13.1.2 (If-None-Match) and 15.4.5 (304 Not Modified).
"""

from hashlib import blake2b

from flask import Response, request

_BYTES = 12


def tagged(response: Response) -> Response:
    """Give the answer to GET or HEAD its ETag, a hash of the body; 304 if the client has it.

    The other headers, such as Link, stay.
    """
    tag = blake2b(response.get_data(), digest_size=_BYTES).hexdigest()
    response.set_etag(tag)
    if request.if_none_match.contains_weak(tag):
        response.status_code = 304
        response.set_data(b"")
        del response.headers["Content-Length"], response.headers["Content-Type"]
    return response
