"""Answers whose headers are complete when they are made."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

JSON = "application/json"
# werkzeug changes these headers of an answer, or adds the length
_CHANGED = ("location", "content-location")
_BODILESS = (204, 304)
Fields = Sequence[tuple[str, str]]


class CheckedHeaders(Headers):
    """Headers of fields that have been checked before: no value has a line end."""

    def __init__(self, fields: Fields = ()) -> None:
        self._list = list(fields)


def put(headers: Headers, names: Collection[str], fields: Fields) -> None:
    """Replace fields in one pass; `Headers.set` makes one or two for each.

    Args:
        headers: what is changed.
        names: those of the fields that go, in lower case.
        fields: what comes instead, checked before.
    """
    # werkzeug has no public way
    headers._list = [field for field in headers._list if field[0].lower() not in names]
    headers._list.extend(fields)


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

    def get_app_iter(self, environ: "WSGIEnvironment") -> Iterable[bytes]:
        """Return the body; as a list if it is known, which granian sends at once with the head."""
        if not isinstance(self.response, list) or self._on_close:
            return super().get_app_iter(environ)
        has_body = environ["REQUEST_METHOD"] != "HEAD" and self.status_code not in _BODILESS
        return list(self.iter_encoded()) if has_body else []
