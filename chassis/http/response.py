"""Answers whose headers are complete when they are made."""

from typing import TYPE_CHECKING

from flask import Response
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

JSON = "application/json"
# werkzeug changes these headers of an answer, or adds the length
_CHANGED = ("location", "content-location")


class CompleteResponse(Response):
    """A response that werkzeug does not have to complete: with status 200 and a length."""

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """Return the headers; werkzeug would copy them, to change what few answers have."""
        if self.status_code != 200:
            return super().get_wsgi_headers(environ)
        has_length = False
        for name, _ in self.headers:
            lower = name.lower()
            if lower in _CHANGED:
                return super().get_wsgi_headers(environ)
            has_length = has_length or lower == "content-length"
        return self.headers if has_length else super().get_wsgi_headers(environ)
