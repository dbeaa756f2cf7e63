"""Refuses requests that the gateway and a service could understand differently.

The server decodes the path once: `%2F` is a slash here, and, since the path is encoded anew for the
service, there too. The path that access is checked for is the path that the service receives.
Source: RFC 9112, sections 3.2 (target and Host) and 6.1 (codings); RFC 3986, section 5.2.4 (dots);
RFC 9110, sections 5.3 (repeated fields) and 9.1 (methods).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from werkzeug.exceptions import BadRequest

from chassis.http import context
from chassis.http.application import LONGEST_HOST
from gateway.edge.forwarded import HOST

_OLD_PROTOCOLS = ("HTTP/1.0", "HTTP/1")  # the second is granian's spelling; they need no Host
# some servers read a backslash as a slash
_DOT_SEGMENT = re.compile(r"(?:^|[/\\])\.\.?(?:[/\\]|\Z)")
# the server joins the lines of a repeated header by a comma without a space
_REPEATED = re.compile(r",(?! )")
_ONCE = {"HTTP_AUTHORIZATION": "Authorization", "HTTP_IDEMPOTENCY_KEY": "Idempotency-Key"}
# paths that pass all checks
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_-]+)+/?", re.ASCII)


def check() -> None:
    """Check the current request before anything else handles it.

    Raises:
        BadRequest: its method, target, Host or Transfer-Encoding is ambiguous, or a header that
            must be sent once is repeated.
    """
    environ = context.request().environ
    _check_method(environ["REQUEST_METHOD"])
    path = environ.get("PATH_INFO", "")
    if not _PLAIN_PATH.fullmatch(path):
        _check_path(path)
    _check_host(environ)
    coding = environ.get("HTTP_TRANSFER_ENCODING", "chunked")
    if coding.strip().lower() != "chunked":
        raise BadRequest("The body may be chunked; no other Transfer-Encoding is taken.")
    for variable, name in _ONCE.items():
        if variable in environ and _REPEATED.search(environ[variable]):
            raise BadRequest(f"{name} must be sent once, and its value must hold no comma.")


def _check_method(method: str) -> None:
    # Flask treats `get` as GET, but the server does not treat `head` as HEAD
    if method != method.upper():
        raise BadRequest("The method must be in capital letters, such as GET.")


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise BadRequest("The target must be a path.")
    if path.startswith("//"):
        raise BadRequest("The path must begin with one slash.")
    if "\0" in path:
        raise BadRequest("The path may hold no NUL.")
    if _DOT_SEGMENT.search(path):
        raise BadRequest("The path may hold no dot segment (. or ..).")
    try:
        path.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise BadRequest("The path is not encoded in UTF-8.") from None


def _check_host(environ: Mapping[str, Any]) -> None:
    host = environ.get("HTTP_HOST", "")
    missing = not host and environ.get("SERVER_PROTOCOL") in _OLD_PROTOCOLS
    if not missing and (len(host) > LONGEST_HOST or not _is_host(host)):
        raise BadRequest("There must be one Host, a name or an address with or without a port.")


@lru_cache(1024)
def _is_host(text: str) -> bool:
    return HOST.fullmatch(text) is not None
