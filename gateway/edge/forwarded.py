"""Who the client is: the peer, or whoever a trusted proxy says it answers for.

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
_SAID = (
    *(_FOR, _PROTO, _HOST),
    *(f"HTTP_X_FORWARDED_{name}" for name in _OTHERS),
    *("HTTP_FORWARDED", "HTTP_X_REAL_IP"),
)
HOST = re.compile(r"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", re.ASCII)


class Clients:
    """WSGI middleware: what it hands on says of the client only what can be believed.

    `REMOTE_ADDR` is the client then, and `X-Forwarded-For`, from it to the peer, the way that the
    request has come; the URL's scheme and host are those that the client used. All other headers
    of the kind are gone.
    """

    def __init__(self, app: "WSGIApplication", trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        said = {name: environ.pop(name) for name in _SAID if name in environ}
        peer = _peer(environ.get("REMOTE_ADDR", ""))
        if peer is not None:
            way = [peer]
            if self._trusts(peer):
                way = self._way(said.get(_FOR, ""), peer)
                _see(environ, said)
            environ["REMOTE_ADDR"] = str(way[0])
            environ[_FOR] = ", ".join(map(str, way))
        return self._app(environ, start_response)

    def _way(self, said: str, peer: Address) -> list[Address]:
        """Return the client and the proxies; what stands before a malformed address is ignored."""
        way = [peer]
        for address in _from_the_right(said):
            way.insert(0, address)
            if not self._trusts(address):
                break
        return way

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _from_the_right(said: str) -> Iterator[Address]:
    for text in reversed(said.split(",")):
        address = _address(text.strip())
        if address is None:
            return
        yield address


def _address(text: str) -> Address | None:
    """Read an address; an IPv4 address that is mapped into IPv6 is an IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address


@lru_cache(maxsize=1024)
def _peer(text: str) -> Address | None:
    return _address(text)


def _see(environ: "WSGIEnvironment", said: dict[str, str]) -> None:
    """Take over the scheme and host that the client used, as a trusted proxy says."""
    scheme = said.get(_PROTO, "").lower()
    if scheme in ("http", "https"):
        environ["wsgi.url_scheme"] = scheme
    if HOST.fullmatch(host := said.get(_HOST, "")):
        environ["HTTP_HOST"] = host
