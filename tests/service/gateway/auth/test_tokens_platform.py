"""How the platform is: for everybody or for tokens, and never in a cache if it depends on one."""

import json
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from chassis.messaging.publisher import Publisher
from chassis.settings import read
from gateway.app import create_app
from gateway.edge.settings import EdgeSettings
from gateway.settings import Settings
from tests.support.settings import NOWHERE
from tests.support.token_gateway import REALM, Gateway, bearing, gateway, refused

__all__ = ["gateway"]
DETAILS = ["bills", "cache", "gateway", "machines", "orders", "outboxes", "queues", "rabbitmq"]
PROTECTING = pytest.mark.parametrize("protected", ["platform", "all"])


def limited(settings: Settings, **edge: str) -> FlaskClient:
    """A client of a gateway with these limits."""
    settings = replace(settings, edge=read(EdgeSettings, **edge), counters=None)
    return create_app(settings, Publisher(NOWHERE, "idle", [])).test_client()


def shown(client: FlaskClient, path: str, token: str | None = None) -> Any:
    """What everybody, or the holder of a token, is shown."""
    answer = client.get(path, headers=bearing(token) if token else {})
    assert answer.status_code == 200, answer.text
    return json.loads(answer.data)


def test_by_default_everybody_sees_how_the_platform_is(gateway: Gateway) -> None:
    client = gateway.client("orders")
    assert client.get("/metrics").status_code == 200
    assert "gateway_db" in shown(client, "/ready")["checks"]
    assert shown(client, "/api/status")["protected"] == []
    assert "gateway" in shown(client, "/")["services"]


@PROTECTING
def test_metrics_need_a_token_with_their_scope(gateway: Gateway, protected: str) -> None:
    client = gateway.client(protected)
    refused(client.get("/metrics"), 401, REALM)
    lacks = f'{REALM}, error="insufficient_scope", scope="platform:read"'
    others = gateway.token("orders:read,platform:write", "others")
    refused(client.get("/metrics", headers=bearing(others)), 403, lacks)
    token = gateway.token("platform:read", "prometheus")
    assert "http_request" in client.get("/metrics", headers=bearing(token)).text


@PROTECTING
def test_details_are_for_tokens_and_everybody_sees_whether_all_is_up(
    gateway: Gateway, protected: str
) -> None:
    client, token = gateway.client(protected), gateway.token("platform:read")
    assert shown(client, "/ready") == {"status": "ready", "process": "gateway"}
    assert "gateway_db" in shown(client, "/ready", token)["checks"]
    status = shown(client, "/api/status")
    assert (status["status"], status["protected"]) == ("degraded", DETAILS)
    assert not any(status[name] for name in DETAILS)
    assert shown(client, "/")["services"] == {}
    assert shown(client, "/", token)["services"]["gateway"]
    whole = shown(client, "/api/status", token)
    assert whole["protected"] == (["bills"] if protected == "all" else [])
    assert whole["rabbitmq"] and whole["gateway"]


def test_live_is_open_whatever_is_protected(gateway: Gateway) -> None:
    assert gateway.client("all").get("/live").status_code == 200


@pytest.mark.parametrize("path", ["/api/movies", "/ready", "/metrics", "/api/status", "/nosuch"])
def test_no_cache_stores_an_answer_to_a_token(gateway: Gateway, path: str) -> None:
    client, token = gateway.client("all"), gateway.token("all:read")
    answer = client.get(path, headers=bearing(token))
    assert answer.headers.getlist("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("path", ["/api/movies", "/ready", "/metrics", "/api/status", "/"])
def test_no_cache_stores_the_answer_to_a_missing_token(gateway: Gateway, path: str) -> None:
    answer = gateway.client("all").get(path)
    assert answer.headers.getlist("Cache-Control") == ["no-store"]


def test_answers_independent_of_tokens_may_be_cached(gateway: Gateway) -> None:
    assert "Cache-Control" not in gateway.client("orders").get("/api/movies").headers


@pytest.mark.parametrize("path", ["/ready", "/metrics", "/api/status"])
def test_status_requests_are_limited_too(gateway_settings: Settings, path: str) -> None:
    client = limited(gateway_settings, rate_limit_reads="2/hour")
    assert [client.get(path).status_code for _ in range(3)] == [200, 200, 429]
    assert client.get("/live").status_code == 200


@pytest.mark.parametrize(
    "host", ["api.example.org", "API.example.org:8080", "localhost", "127.0.0.11:9", "[::1]:80"]
)
def test_a_host_that_is_allowed_is_answered(gateway_settings: Settings, host: str) -> None:
    client = limited(gateway_settings, allowed_hosts="api.example.org, www.example.org")
    assert client.get("/live", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/live", "/api/movies", "/", "/nosuch"])
@pytest.mark.parametrize("host", ["evil.example", "xapi.example.org", "192.0.2.1", "localhost.x"])
def test_a_host_that_is_not_allowed_is_misdirected(
    gateway_settings: Settings, path: str, host: str
) -> None:
    client = limited(gateway_settings, allowed_hosts="api.example.org")
    answer = client.get(path, headers={"Host": host})
    assert (answer.status_code, answer.content_type) == (421, "application/problem+json")
    assert "ALLOWED_HOSTS" in json.loads(answer.data)["detail"]


def test_the_gateway_always_answers_at_its_own_address(gateway_settings: Settings) -> None:
    own = replace(gateway_settings, address="192.168.56.10")
    client = limited(own, allowed_hosts="api.example.org")
    assert client.get("/ready", headers={"Host": "192.168.56.10:8080"}).status_code == 200


def test_without_a_list_any_host_is_answered(gateway_settings: Settings) -> None:
    client = limited(gateway_settings)
    assert client.get("/live", headers={"Host": "evil.example"}).status_code == 200
