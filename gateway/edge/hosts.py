"""The host names that the gateway answers to, if `ALLOWED_HOSTS` lists them.

A malicious page can have its own name resolve to the gateway's address; a browser then takes the
gateway for that page's own server (DNS rebinding). CORS does not stop that; checking the Host
header does.
Source: RFC 9110, section 15.5.20 (421 Misdirected Request).
"""

import ipaddress
from collections.abc import Collection

from flask import Flask, request
from werkzeug.exceptions import HTTPException


class MisdirectedError(HTTPException):
    """The request is for another host."""

    code = 421


def init_app(app: Flask, allowed: Collection[str], address: str | None) -> None:
    """Refuse requests for other hosts; without `allowed`, refuse none.

    Args:
        app: the application; an earlier check has made sure that Host is well formed.
        allowed: names and addresses, without ports.
        address: the gateway's own. It, localhost and loopback addresses are always allowed, for
            the platform's own checks; none of them can be a stranger's name.
    """
    if not allowed:
        return
    names = {name.lower() for name in allowed} | {"localhost"} | ({address} if address else set())

    def check() -> None:
        host = _name(request.environ.get("HTTP_HOST", ""))
        # a request without Host, which only old clients may send, is from no browser
        if host and host not in names and not _is_loopback(host):
            raise MisdirectedError("This host is not served here: ALLOWED_HOSTS does not list it.")

    app.before_request(check)


def _name(host: str) -> str:
    """Return a Host without its port."""
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[").lower()
    return host.partition(":")[0].lower()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
