"""Tokens: what AUTH_PROTECTED names needs one, and the services are told whose it is."""

import hashlib
import hmac
import json
import logging
from base64 import b64encode
from datetime import timedelta
from urllib.parse import unquote

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from chassis import logs
from chassis.errors import ConflictError, InvalidError, NotFoundError
from chassis.messaging.publisher import Publisher
from chassis.settings import DatabaseSettings
from chassis.storage.database import Database
from gateway.app import create_app
from gateway.auth import scopes, tokens
from tests.support import token_gateway
from tests.support.settings import NOWHERE
from tests.support.token_gateway import API_TOKEN, REALM, Gateway, bearing, refused
from tools.stack.ports import free_port

gateway = token_gateway.gateway

CLASS_OF = {
    "/api/movies": "movies",
    "/api/products": "products",
    "/api/produits": "products",
    "/api/billing": "billing",
    "/api/customers": "customers",
    "/api/clients": "customers",
    "/api/orders": "orders",
    "/api/commandes": "orders",
    "/api/events": "events",
    "/api/event/shop/order/create": "events",
}
BILL = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}
ALL = "all:read,all:write"
READING, WRITING = ["GET", "HEAD"], ["POST", "PUT", "PATCH", "DELETE", "BREW"]


@pytest.fixture
def away(gateway: Gateway) -> DatabaseSettings:
    """A database that does not answer."""
    return gateway.settings.database.model_copy(update={"port": free_port()})


def dump(database: Database) -> str:
    """All that the table of tokens holds."""
    with database.autocommit() as connection:
        return "\n".join(connection.execute(text("SELECT tokens::text FROM tokens")).scalars())


@pytest.mark.parametrize("path", CLASS_OF)
@pytest.mark.parametrize("below", ["", "/", "/1"])
def test_a_request_to_a_protected_class_without_a_token_is_refused(
    gateway: Gateway, path: str, below: str
) -> None:
    method = "POST" if path.startswith("/api/event/") else "GET"
    path = path if method == "POST" else path + below
    refused(gateway.client(CLASS_OF[path.rstrip("/1")]).open(path, method=method), 401, REALM)
    assert gateway.upstream.requests == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/%6frders", 401),
        ("/api/orders/a/b/", 401),
        ("/api/orders/../movies", 400),
        ("/api/orders%2F1", 401),
        ("/api/orders//", 404),
        ("/api//orders", 404),
        ("//api/orders", 400),
        ("/api/Orders", 404),
        ("/API/orders", 404),
    ],
)
def test_no_way_of_writing_a_path_leads_around_the_guard(
    gateway: Gateway, path: str, status: int
) -> None:
    decoded = {"PATH_INFO": unquote(path)}
    answer = gateway.client("orders").get("/", environ_overrides=decoded)
    assert answer.status_code == status
    assert gateway.upstream.requests == []


@pytest.mark.parametrize("path", CLASS_OF)
def test_a_class_that_is_not_protected_needs_no_token(gateway: Gateway, path: str) -> None:
    others = ",".join(set(scopes.CLASSES) - {CLASS_OF[path]})
    if path.startswith("/api/event/"):
        assert gateway.client(others).post(path, json={}).status_code == 201
    else:
        assert gateway.client(others).get(path).status_code == 200


def test_a_class_that_is_not_protected_looks_no_token_up(
    gateway: Gateway, away: DatabaseSettings
) -> None:
    client = gateway.client("orders", database=away)
    answer = client.get("/api/movies", headers=bearing(gateway.token(ALL)))
    assert answer.status_code == 200
    assert gateway.upstream.values("X-Caller") == ["anonymous"]


@pytest.mark.parametrize("path", ["/live", "/ready"])
def test_health_needs_no_token(gateway: Gateway, path: str) -> None:
    assert gateway.client("all").get(path).status_code == 200


@pytest.mark.parametrize("path", CLASS_OF)
def test_a_token_of_the_class_lets_its_requests_in(gateway: Gateway, path: str) -> None:
    name = CLASS_OF[path]
    headers = bearing(gateway.token(f"{name}:read,{name}:write"))
    if path.startswith("/api/event/"):
        assert gateway.client("all").post(path, json={}, headers=headers).status_code == 201
    else:
        assert gateway.client("all").get(path, headers=headers).status_code == 200


@pytest.mark.parametrize("method", READING)
def test_reading_needs_read(gateway: Gateway, method: str) -> None:
    client = gateway.client("orders")
    reader, writer = gateway.token("orders:read", "r"), gateway.token("orders:write", "w")
    assert client.open("/api/orders/1", method=method, headers=bearing(reader)).status_code == 200
    challenge = f'{REALM}, error="insufficient_scope", scope="orders:read"'
    refused(client.open("/api/orders/1", method=method, headers=bearing(writer)), 403, challenge)
    assert len(gateway.upstream.requests) == 1


@pytest.mark.parametrize("method", WRITING)
def test_whatever_does_not_read_needs_write(gateway: Gateway, method: str) -> None:
    client = gateway.client("orders")
    reader, writer = gateway.token("orders:read", "r"), gateway.token("orders:write", "w")
    assert client.open("/api/orders/1", method=method, headers=bearing(writer)).status_code == 200
    challenge = f'{REALM}, error="insufficient_scope", scope="orders:write"'
    refused(client.open("/api/orders/1", method=method, headers=bearing(reader)), 403, challenge)
    assert len(gateway.upstream.requests) == 1


def test_a_token_of_one_class_opens_no_other(gateway: Gateway) -> None:
    others = ",".join(scope for scope in scopes.EVERY_SCOPE if not scope.startswith("customers:"))
    headers = bearing(gateway.token(others))
    challenge = f'{REALM}, error="insufficient_scope", scope="customers:read"'
    refused(gateway.client("all").get("/api/clients", headers=headers), 403, challenge)


def test_asking_for_the_methods_needs_no_token(gateway: Gateway) -> None:
    client = gateway.client("all")
    assert client.options("/api/orders").status_code == 200
    assert gateway.upstream.values("X-Caller") == ["anonymous"]
    assert client.options("/api/billing").status_code == 200


@pytest.mark.parametrize(
    "credentials",
    [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "bearer WRONG",
        "Bearer two words",
        "Bearer a, b",
        "Bearer caf\xe9",
        f"Bearer {API_TOKEN}x",
        f"Bearer {API_TOKEN[:-1]}",
        f"Bearer {API_TOKEN.upper()}",
        "Bearer " + "x" * 4000,
    ],
)
def test_a_token_that_is_malformed_or_unknown_is_invalid(
    gateway: Gateway, credentials: str
) -> None:
    gateway.token(ALL)
    answer = gateway.client("orders").get("/api/orders", headers={"Authorization": credentials})
    refused(answer, 401, f'{REALM}, error="invalid_token"')
    assert gateway.upstream.requests == []


@pytest.mark.parametrize("credentials", ["", "Basic dTpw", "Bearerish x", "Digest a=b"])
def test_credentials_of_another_scheme_do_not_count(gateway: Gateway, credentials: str) -> None:
    answer = gateway.client("orders").get("/api/orders", headers={"Authorization": credentials})
    refused(answer, 401, REALM)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_known_in_any_case(gateway: Gateway, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {gateway.token('orders:read')}"}
    assert gateway.client("orders").get("/api/orders", headers=headers).status_code == 200


def test_a_token_in_the_address_or_the_body_does_not_count(gateway: Gateway) -> None:
    client, data = gateway.client("orders"), {"access_token": gateway.token(ALL)}
    refused(client.get("/api/orders", query_string=data), 401, REALM)
    refused(client.post("/api/orders", data=data), 401, REALM)


def test_a_token_that_is_revoked_stops_working_at_once(gateway: Gateway) -> None:
    client, headers = gateway.client("orders"), bearing(gateway.token("orders:read"))
    assert client.get("/api/orders", headers=headers).status_code == 200
    with gateway.database.transaction() as connection:
        tokens.revoke(connection, "tester")
    refused(client.get("/api/orders", headers=headers), 401, f'{REALM}, error="invalid_token"')


def test_a_token_works_until_it_expires(gateway: Gateway) -> None:
    client = gateway.client("orders")
    headers = bearing(gateway.token("orders:read", lifetime=timedelta(hours=1)))
    assert client.get("/api/orders", headers=headers).status_code == 200
    gateway.change("UPDATE tokens SET created_at = now() - interval '2 hours', expires_at = now()")
    refused(client.get("/api/orders", headers=headers), 401, f'{REALM}, error="invalid_token"')


def test_the_bootstrap_token_opens_everything(gateway: Gateway) -> None:
    client, headers = gateway.client("all"), bearing(API_TOKEN)
    reading = [path for path in CLASS_OF if not path.startswith("/api/event/")]
    assert {client.get(path, headers=headers).status_code for path in reading} == {200}
    assert client.post("/api/event/a/b/c", json={}, headers=headers).status_code == 201
    assert client.post("/api/billing", json=BILL, headers=headers).status_code == 202
    assert client.delete("/api/orders/1", headers=headers).status_code == 200


def test_without_the_database_the_bootstrap_token_works_and_the_others_are_503(
    gateway: Gateway, away: DatabaseSettings
) -> None:
    client, token = gateway.client("orders", database=away), gateway.token("orders:read")
    assert client.get("/api/orders", headers=bearing(API_TOKEN)).status_code == 200
    answer = client.get("/api/orders", headers=bearing(token))
    assert answer.status_code == 503
    assert json.loads(answer.data)["cause"] == "database_unavailable"
    assert "Retry-After" in answer.headers
    refused(client.get("/api/orders"), 401, REALM)
    assert len(gateway.upstream.requests) == 1


def test_without_api_token_there_is_no_bootstrap_token(gateway: Gateway) -> None:
    app = create_app(gateway.settings, Publisher(NOWHERE, "idle", []))
    for token in ("None", "", API_TOKEN):
        answer = app.test_client().get("/api/orders", headers=bearing(token))
        refused(answer, 401, f'{REALM}, error="invalid_token"')


@pytest.mark.parametrize("forged", ["admin", "bootstrap", ""])
def test_the_service_gets_the_callers_name_and_not_the_token(gateway: Gateway, forged: str) -> None:
    client, token = gateway.client("orders"), gateway.token("orders:read", "shop.front-1")
    for presented, name in ((token, "shop.front-1"), (API_TOKEN, "bootstrap")):
        client.get("/api/commandes", headers=bearing(presented, **{"X-Caller": forged}))
        assert gateway.upstream.values("X-Caller") == [name]
        assert presented.encode() not in gateway.upstream.head


def test_an_idempotency_key_is_its_callers_own(gateway: Gateway) -> None:
    client = gateway.client("billing")
    one, other = gateway.token("billing:write", "one"), gateway.token("billing:write", "other")
    ids = [
        json.loads(
            client.post(
                "/api/billing",
                json=BILL,
                headers=bearing(token, **{"Idempotency-Key": "k", "X-Caller": "one"}),
            ).data
        )["id"]
        for token in (one, one, other)
    ]
    assert ids[0] == ids[1] != ids[2]
    with gateway.database.autocommit() as connection:
        callers = connection.execute(text("SELECT caller FROM idempotency_keys ORDER BY 1"))
        assert list(callers.scalars()) == ["one", "other"]


def test_a_token_is_in_no_table_only_its_hash(gateway: Gateway) -> None:
    token = gateway.token("orders:read")
    stored = dump(gateway.database)
    assert "tester" in stored
    assert hashlib.sha256(token.encode()).hexdigest() in stored
    secret = token.removeprefix(tokens.PREFIX)
    for written in (secret, secret.encode().hex(), b64encode(token.encode()).decode()):
        assert written not in stored


def test_tokens_are_256_random_bits_each(gateway: Gateway) -> None:
    made = [gateway.token("orders:read", f"t{number}") for number in range(20)]
    assert len(set(made)) == 20
    assert {len(token.removeprefix(tokens.PREFIX)) for token in made} == {43}  # of base64, 6 bits


def test_every_kind_of_token_is_compared_in_constant_time(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def noted(one: bytes, other: bytes) -> bool:
        compared.append((one, bytes(other)))
        return real(one, other)

    token, client = gateway.token("orders:read"), gateway.client("orders")
    monkeypatch.setattr(hmac, "compare_digest", noted)
    digest, bootstrap = (hashlib.sha256(t.encode()).digest() for t in (token, API_TOKEN))
    assert client.get("/api/orders", headers=bearing(token)).status_code == 200
    assert compared == [(digest, bootstrap), (digest, digest)]
    compared.clear()
    assert client.get("/api/orders", headers=bearing(API_TOKEN)).status_code == 200
    assert compared == [(bootstrap, bootstrap)]


def test_no_token_is_logged_or_answered(
    gateway: Gateway, away: DatabaseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = gateway.token("movies:read")
    said = [repr(gateway.settings)]
    for client in (gateway.client("all"), gateway.client("all", database=away)):
        for presented in (token, API_TOKEN, f"{token}x"):
            for path in ("/api/movies", "/api/orders"):
                answer = client.get(path, headers=bearing(presented))
                said.append(f"{answer.headers}{answer.text}")
    formatter = logs.Formatter("gateway")
    said += [formatter.format(record) for record in caplog.records]
    assert len(said) > 12
    assert not any(secret in line for line in said for secret in (token, API_TOKEN))


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "é", "a\nb", "-a", ".a", "x" * 65, "anonymous", "Bootstrap"]
)
def test_an_invalid_token_name_is_refused(gateway: Gateway, name: str) -> None:
    with pytest.raises(InvalidError, match="name"):
        gateway.token("orders:read", name)
    assert dump(gateway.database) == ""


def test_a_name_is_reusable_only_after_its_token_is_revoked(gateway: Gateway) -> None:
    first = gateway.token("orders:read")
    with pytest.raises(ConflictError, match="tester"):
        gateway.token("orders:write")
    with gateway.database.transaction() as connection:
        tokens.revoke(connection, "tester")
    second, client = gateway.token("orders:read"), gateway.client("orders")
    statuses = [client.get("/api/orders", headers=bearing(t)).status_code for t in (first, second)]
    assert statuses == [401, 200]


def test_an_unknown_token_cannot_be_revoked(gateway: Gateway) -> None:
    with pytest.raises(NotFoundError), gateway.database.transaction() as connection:
        tokens.revoke(connection, "nobody")


@pytest.mark.parametrize(
    "change",
    [
        "name = 'a b'",
        "name = ''",
        "hash = 'short'",
        "scopes = '{}'",
        "expires_at = created_at",
    ],
)
def test_the_schema_itself_refuses_an_invalid_token(gateway: Gateway, change: str) -> None:
    gateway.token("orders:read")
    with pytest.raises(IntegrityError):
        gateway.change(f"UPDATE tokens SET {change}")
