"""Pages of other origins: none may call the API unless `CORS_ORIGINS` says so."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chassis.settings import read
from gateway.edge import cors
from gateway.edge.settings import EdgeSettings
from tests.support.raw_upstream import RawUpstream

MOVIES, ORIGIN = "/api/movies", "https://shop.example"
Make = Callable[[str], FlaskClient]
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "authorization, content-type",
}


@pytest.fixture
def for_origins(movies_gateway: Flask) -> Make:
    """Make a client of a gateway that these origins' pages may call."""

    def make(origins: str) -> FlaskClient:
        cors.init_app(movies_gateway, read(EdgeSettings, cors_origins=origins).cors_origins)
        return movies_gateway.test_client(use_cookies=False)

    return make


def test_it_is_off_by_default(for_origins: Make, upstream: RawUpstream) -> None:
    client = for_origins("")
    for answer in (
        client.options(MOVIES, headers=PREFLIGHT),
        client.get(MOVIES, headers={"Origin": ORIGIN}),
    ):
        assert not any(name.startswith("Access-Control") for name, _ in answer.headers)
    assert [request.split(b" ")[0] for request in upstream.requests] == [b"OPTIONS", b"GET"]


@pytest.mark.parametrize("origins", [ORIGIN, f"http://localhost:3000,{ORIGIN}", "*"])
def test_a_preflight_is_answered_by_the_gateway(
    for_origins: Make, upstream: RawUpstream, origins: str
) -> None:
    answer = for_origins(origins).options(MOVIES, headers=PREFLIGHT)
    assert (answer.status_code, answer.data) == (204, b"")
    allowed = "*" if origins == "*" else ORIGIN
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [allowed]
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert upstream.requests == []


def test_pages_may_read_the_headers_of_an_answer(for_origins: Make, upstream: RawUpstream) -> None:
    answer = for_origins(ORIGIN).get(MOVIES, headers={"Origin": ORIGIN})
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [ORIGIN]
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    assert exposed >= {
        "Link",
        "Location",
        "X-Request-ID",
        "ETag",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
    }
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://shop.example", "https://shop.example.evil", "null"]
)
def test_pages_of_other_origins_may_not(
    for_origins: Make, upstream: RawUpstream, origin: str
) -> None:
    client = for_origins(f"{ORIGIN},http://localhost:3000")
    preflight = client.options(MOVIES, headers={**PREFLIGHT, "Origin": origin})
    answer = client.get(MOVIES, headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_only_the_api_is_open(for_origins: Make) -> None:
    answer = for_origins("*").get("/live", headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_options_that_is_no_preflight_is_forwarded(
    for_origins: Make, upstream: RawUpstream
) -> None:
    for_origins("*").options(MOVIES, headers={"Origin": ORIGIN})
    assert upstream.requests[0].startswith(b"OPTIONS ")
