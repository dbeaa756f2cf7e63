"""Who the client is: nobody is believed whom `TRUSTED_PROXIES` does not name."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.settings import read
from gateway.edge.forwarded import ForwardedHeaders
from gateway.edge.settings import EdgeSettings
from tests.support.raw_upstream import RawUpstream
from tests.support.servers import Logged

MOVIES = "/api/movies"
Make = Callable[[str], FlaskClient]


@pytest.fixture
def behind(movies_gateway: Flask) -> Make:
    """Make a client of a gateway that trusts these proxies."""

    def make(trusted: str) -> FlaskClient:
        networks = read(EdgeSettings, trusted_proxies=trusted).proxies
        inner = movies_gateway.wsgi_app
        movies_gateway.wsgi_app = ForwardedHeaders(inner, networks)  # type: ignore[method-assign]
        return movies_gateway.test_client(use_cookies=False)

    return make


def way(client: FlaskClient, upstream: RawUpstream, peer: str, said: str) -> str:
    """What the service is told when this peer says this."""
    headers = {"X-Forwarded-For": said} if said else {}
    client.get(MOVIES, headers=headers, environ_overrides={"REMOTE_ADDR": peer})
    [told] = upstream.values("X-Forwarded-For")
    return told


@pytest.mark.parametrize("said", ["", "203.0.113.7", "10.0.0.1, 10.0.0.2", "127.0.0.1", "x"])
def test_without_trusted_proxies_only_the_peer_counts(
    behind: Make, upstream: RawUpstream, said: str
) -> None:
    assert way(behind(""), upstream, "198.51.100.1", said) == "198.51.100.1"


@pytest.mark.parametrize(
    ("peer", "said", "told"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7, 10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7, 10.0.0.1"),
        ("10.0.0.1", "1.1.1.1,203.0.113.7 ,10.9.9.9", "203.0.113.7, 10.9.9.9, 10.0.0.1"),
        ("10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1, 10.2.2.2, 10.0.0.1"),
        ("192.0.2.9", "2001:db8::7", "2001:db8::7, 192.0.2.9"),
        ("192.0.2.8", "203.0.113.7", "192.0.2.8"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7, 10.0.0.1"),
        ("::ffff:192.0.2.8", "203.0.113.7", "192.0.2.8"),
        ("fd00::1", "203.0.113.7", "203.0.113.7, fd00::1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, ", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7:80", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.777", "10.0.0.1"),
        ("10.0.0.1", "fe80::1%eth0", "10.0.0.1"),
        ("10.0.0.1", "unknown, 203.0.113.7", "203.0.113.7, 10.0.0.1"),
    ],
)
def test_the_rightmost_address_that_is_no_trusted_proxy_is_the_client(
    behind: Make, upstream: RawUpstream, peer: str, said: str, told: str
) -> None:
    client = behind("10.0.0.0/8, 192.0.2.9 ,fd00::/16")
    assert way(client, upstream, peer, said) == told


def test_the_log_names_the_client(behind: Make, upstream: RawUpstream, logged: Logged) -> None:
    client = behind("10.0.0.0/8")
    way(client, upstream, "10.0.0.1", "203.0.113.7")
    way(client, upstream, "198.51.100.1", "203.0.113.7")
    assert [line["client"] for line in logged()] == ["203.0.113.7", "198.51.100.1"]


SAID = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "movies.example:8443",
    "X-Forwarded-Port": "1",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=203.0.113.7;host=evil",
    "X-Real-IP": "203.0.113.7",
}


def test_scheme_and_host_are_those_that_a_trusted_proxy_says(
    behind: Make, upstream: RawUpstream
) -> None:
    behind("10.0.0.0/8").get(MOVIES, headers=SAID, environ_overrides={"REMOTE_ADDR": "10.0.0.1"})
    assert upstream.values("X-Forwarded-Proto") == ["https"]
    assert upstream.values("X-Forwarded-Host") == ["movies.example:8443"]
    assert upstream.values("Host") == ["movies.example:8443"]
    for name in ("X-Forwarded-Port", "X-Forwarded-Prefix", "Forwarded", "X-Real-IP"):
        assert upstream.values(name) == []


def test_only_trusted_proxies_set_scheme_and_host(behind: Make, upstream: RawUpstream) -> None:
    behind("10.0.0.0/8").get(MOVIES, headers=SAID)
    assert upstream.values("X-Forwarded-Proto") == ["http"]
    assert upstream.values("X-Forwarded-Host") == ["localhost"]
    assert upstream.values("Host") == ["localhost"]
    assert b"evil" not in upstream.head and b"203.0.113.7" not in upstream.head


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-Proto", "ftp"),
        ("X-Forwarded-Proto", "https, http"),
        ("X-Forwarded-Host", "a/b"),
        ("X-Forwarded-Host", "a, b"),
        ("X-Forwarded-Host", "a@b"),
    ],
)
def test_nonsense_from_a_trusted_proxy_is_ignored(
    behind: Make, upstream: RawUpstream, name: str, value: str
) -> None:
    client = behind("10.0.0.0/8")
    client.get(MOVIES, headers={name: value}, environ_overrides={"REMOTE_ADDR": "10.0.0.1"})
    assert upstream.values("X-Forwarded-Proto") == ["http"]
    assert upstream.values("X-Forwarded-Host") == ["localhost"]
