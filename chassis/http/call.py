"""A request to another service, and its bytes.

Nothing in a request can end it early or begin another one: names and values that could are refused,
and the length of the body is always counted here. Source: RFC 9112, sections 3, 5 and 11.2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[!-~]+")
_FRAMING = ("content-length", "transfer-encoding")
KEY = "idempotency-key"
_WITHOUT_BODY = ("GET", "HEAD", "DELETE", "OPTIONS", "TRACE")


@dataclass(frozen=True, slots=True)
class Call:
    """A request to an upstream.

    Attributes:
        method: as it is sent, in capitals.
        target: a path with its query, both encoded.
        headers: without Content-Length; Host is added unless it is among them.
        body: empty for a request without one.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be sent again if nobody knows what became of it."""
        return self.method in ("GET", "HEAD")

    @property
    def may_be_repeated(self) -> bool:
        """Whether it has one effect however often it is sent: it is safe, or a POST with a key."""
        # the services look at the key of a POST alone (chassis.http.keyed_posts)
        is_keyed = self.method == "POST" and any(name.lower() == KEY for name in self.headers)
        return self.is_repeatable or is_keyed

    def encoded(self, host: str) -> bytes:
        """Return the request as it is sent, in one piece.

        Args:
            host: the value of Host, unless the headers have one.

        Raises:
            ValueError: a part has characters that it can't have, or the headers name a length.
        """
        _lower_token(self.method)
        lines = [f"{self.method} {_target(self.target)} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        names = set(map(_lower_token, self.headers))
        if not names.isdisjoint(_FRAMING):
            raise ValueError("the length of the body is counted, not given")
        if "host" not in names:
            lines.append(f"Host: {host}")
        if self.body or self.method not in _WITHOUT_BODY:
            lines.append(f"Content-Length: {len(self.body)}")
        return _joined(lines) + self.body


@lru_cache(1024)
def _lower_token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError("a method or a field's name is no token")
    return text.lower()


def _target(text: str) -> str:
    if not _TARGET.fullmatch(text):
        raise ValueError("a target has only visible ASCII characters")
    return text


def _joined(lines: list[str]) -> bytes:
    """Return the head, which has exactly these lines."""
    head = "\r\n".join(lines)
    ends = len(lines) - 1
    if head.count("\r") != ends or head.count("\n") != ends or "\0" in head:
        raise ValueError("a field's value has a line end or a NUL")
    return (head + "\r\n\r\n").encode("latin-1")
