"""The client's address: the peer's, or the one that a trusted proxy names.

Own code: werkzeug's ProxyFix counts proxies instead of knowing their addresses.
Source: RFC 7239, section 8.1 (integrity of forwarding information).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
_FOR, _PROTO, _HOST = (f"HTTP_X_FORWARDED_{name}" for name in ("FOR", "PROTO", "HOST"))
_OTHERS = ("BY", "PORT", "PREFIX", "PROTOCOL", "SCHEME", "SERVER", "SSL")
_FORWARDED_FIELDS = (
    *(_FOR, _PROTO, _HOST),
    *(f"HTTP_X_FORWARDED_{name}" for name in _OTHERS),
    *("HTTP_FORWARDED", "HTTP_X_REAL_IP"),
)
HOST = re.compile(r"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", re.ASCII)


class ForwardedHeaders:
    """WSGI middleware that removes every forwarded header that is not trusted.

    It sets `REMOTE_ADDR` to the client, and `X-Forwarded-For` to the hops from the client to the
    peer. The URL's scheme and host are those that the client used. All other forwarded headers are
    removed.
    """

    def __init__(self, app: "WSGIApplication", trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        fields = {name: environ.pop(name) for name in _FORWARDED_FIELDS if name in environ}
        peer, text = _peer(environ.get("REMOTE_ADDR", ""))
        if peer is not None:
            environ["REMOTE_ADDR"] = environ[_FOR] = text
            if self._trusts(peer):
                texts = [str(hop) for hop in self._hops(fields.get(_FOR, ""), peer)]
                environ["REMOTE_ADDR"], environ[_FOR] = texts[0], ", ".join(texts)
                _set_origin(environ, fields)
        return self._app(environ, start_response)

    def _hops(self, forwarded_for: str, peer: Address) -> list[Address]:
        """Return the client and the proxies; everything left of a malformed address is ignored."""
        hops = [peer]
        for address in _from_the_right(forwarded_for):
            hops.insert(0, address)
            if not self._trusts(address):
                break
        return hops

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _from_the_right(forwarded_for: str) -> Iterator[Address]:
    for text in reversed(forwarded_for.split(",")):
        address = _address(text.strip())
        if address is None:
            return
        yield address


def _address(text: str) -> Address | None:
    """Parse an address; an IPv4-mapped IPv6 address counts as IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address


@lru_cache(maxsize=1024)
def _peer(text: str) -> tuple[Address | None, str]:
    """Return the peer's address, and as text."""
    address = _address(text)
    return address, str(address)


def _set_origin(environ: "WSGIEnvironment", fields: dict[str, str]) -> None:
    """Set the scheme and host that the client used, as a trusted proxy names them."""
    scheme = fields.get(_PROTO, "").lower()
    if scheme in ("http", "https"):
        environ["wsgi.url_scheme"] = scheme
    if HOST.fullmatch(host := fields.get(_HOST, "")):
        environ["HTTP_HOST"] = host
