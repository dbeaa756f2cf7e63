"""An order with its details: of real services, and of some that are away."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import text

from billing import bills
from chassis.http import app as web
from chassis.http.upstream import UpstreamClient
from chassis.settings import DatabaseSettings, Upstream
from chassis.storage.database import Database
from gateway import fan_out
from gateway.auth import tokens
from gateway.auth.guard import Guard
from gateway.auth.scopes import CLASSES
from gateway.auth.tokens import Tokens
from gateway.edge.rate_limit import Limiter
from gateway.order_details import OrderDetails
from gateway.proxy import Proxy
from gateway.routes import detail_routes, proxy_routes
from orders.app import create_app as create_orders
from tests.support.mailing import served
from tests.support.raw_upstream import OK, Act, RawUpstream, answering, closing, silent
from tests.support.settings import NOWHERE, settings_of_orders
from tools.stack.ports import free_port

Ports = dict[str, int]
LONG_PART, LONG_WHOLE = 30.0, 45.0  # seconds that these tests give where all answers come
PART, WHOLE = 3.0, 4.5  # and where one does not, of which a busy machine needs many
LATE = 8.0  # below the ten that an upstream may take
SERVICES = ("orders", "inventory", "customers", "billing")
MISSING = {"inventory": "products", "customers": "customer", "billing": "bill"}
ERROR = answering(b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}")
AWAY = answering(b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\n{}")
NO_JSON = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>")
OTHER_JSON = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7")


def dripping(connection: Any) -> None:
    """Send an answer's head a byte at a time."""
    connection.sendall(b"HTTP/1.1 200 O")
    while True:
        connection.sendall(b"K")
        time.sleep(0.05)


FAULTS: dict[str, Act | None] = {
    "refuses": None,
    "hangs": silent,
    "drips": dripping,
    "closes": closing,
    "answers 500": ERROR,
    "answers 503": AWAY,
    "answers no JSON": NO_JSON,
    "answers other JSON": OTHER_JSON,
}

NEVER_ENDING = ("hangs", "drips")

NO_DATABASE = DatabaseSettings(name="none", user="none", password=SecretStr("none"), port=1)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than the gateway does."""
    monkeypatch.setattr(fan_out, "PART_SECONDS", LONG_PART)
    monkeypatch.setattr(fan_out, "WHOLE_SECONDS", LONG_WHOLE)


@pytest.fixture
def lose_patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Wait for what will not come no longer than a test should last."""

    def lose() -> None:
        monkeypatch.setattr(fan_out, "PART_SECONDS", PART)
        monkeypatch.setattr(fan_out, "WHOLE_SECONDS", WHOLE)

    return lose


@pytest.fixture(scope="module")
def served_at(
    inventory_app: Flask,
    customers_app: Flask,
    billing_app: Flask,
    database_settings: Callable[[str], DatabaseSettings],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ports]:
    """The ports of the four services, which are served."""
    ports = {name: free_port() for name in SERVICES}
    shop = Upstream("inventory-api", "127.0.0.1", ports["inventory"])
    home = tmp_path_factory.mktemp("details")
    orders = settings_of_orders(database_settings("orders"), NOWHERE, home)
    apps = {
        "orders": create_orders(replace(orders, inventory=shop)),
        "inventory": inventory_app,
        "customers": customers_app,
        "billing": billing_app,
    }
    with ExitStack() as stack:
        for name, app in apps.items():
            stack.enter_context(served(app, ports[name]))
        yield ports


@pytest.fixture
def ports(
    served_at: Ports,
    movies_db: Database,
    customers_db: Database,
    billing_db: Database,
    orders_db: Database,
) -> Ports:
    """The ports of the four services, whose databases are empty."""
    return served_at


def gateway_of(ports: Ports, guard: Guard | None = None) -> FlaskClient:
    """A client of a gateway before the services at these ports; nothing needs a token by itself."""
    guard = guard or guard_of(Database(NO_DATABASE))
    clients = {n: UpstreamClient(Upstream(f"{n}-api", "127.0.0.1", ports[n])) for n in ports}
    orders, inventory, customers, billing = (clients[name] for name in SERVICES)
    details = OrderDetails(orders, inventory, customers, billing)
    routes = [
        blueprint
        for name in ("orders", "commandes")
        for blueprint in (
            guard.protect("orders", detail_routes(name, details, guard, Proxy(clients["orders"]))),
            proxy_routes(name, Proxy(clients["orders"])),
        )
    ]
    routes += [proxy_routes("customers", Proxy(clients["customers"]))]
    routes += [proxy_routes("products", Proxy(clients["inventory"]))]
    return web.create_app("gateway", ready=[], routes=routes).test_client()


def guard_of(database: Database, *protected: str) -> Guard:
    """A guard over what is protected, with the tokens of this database."""
    return Guard(protected, Tokens(database, None), Limiter(None, None, None))


@pytest.fixture
def gateway(ports: Ports) -> FlaskClient:
    """A client of a gateway before the four services."""
    return gateway_of(ports)


@pytest.fixture
def raw() -> Iterator[Callable[..., RawUpstream]]:
    """Make servers that do what the test says."""
    servers: list[RawUpstream] = []

    def make(*acts: Act) -> RawUpstream:
        servers.append(RawUpstream(list(acts)))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def broken(
    ports: Ports, raw: Callable[..., RawUpstream], lose_patience: Callable[[], None]
) -> Callable[..., FlaskClient]:
    """Make a gateway of whose services some are as `FAULTS` says."""

    def make(fault: str, *names: str) -> FlaskClient:
        if fault in NEVER_ENDING:
            lose_patience()
        act = FAULTS[fault]
        other = free_port() if act is None else raw(act).port
        return gateway_of(ports | dict.fromkeys(names, other))

    return make


def made(client: FlaskClient, path: str, body: object) -> Any:
    """Make something."""
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json


@pytest.fixture
def order(gateway: FlaskClient, billing_db: Database) -> Any:
    """An order of two products, of a customer, with its bill."""
    customer = made(gateway, "/api/customers", {"name": "Anna", "email": "anna@kawa.fr"})
    for name, price in (("The Matrix, DVD", 9.9), ("Tron, Blu-ray", 20)):
        made(gateway, "/api/products", {"name": name, "price": price, "stock": 5})
    items = [{"product_id": 2, "quantity": 1}, {"product_id": 1, "quantity": 2}]
    order = made(gateway, "/api/orders", {"customer_id": customer["id"], "items": items})
    record_bill(billing_db, order["order_id"], uid_of(gateway, order))
    return order


def uid_of(gateway: FlaskClient, order: Any) -> str:
    """The order's name in events, which is its bill's id."""
    return gateway.get(f"/api/orders/{order['id']}").headers["Order-UID"]


def record_bill(database: Database, order_id: str, message_id: str) -> None:
    """Record a bill."""
    bill = {"message_id": message_id, "user_id": "1", "number_of_items": 3, "order_id": order_id}
    with database.transaction() as connection:
        bills.record(connection, [bill | {"total_amount": "39.80"}])


def details_of(gateway: FlaskClient, order: Any) -> Any:
    """The details of an order, which have to come."""
    answer = gateway.get(f"/api/orders/{order['id']}/details")
    assert answer.status_code == 200, answer.text
    return answer.json


def timed(gateway: FlaskClient, path: str) -> tuple[Any, float]:
    """An answer, and how many seconds it took."""
    started = time.monotonic()
    answer = gateway.get(path)
    return answer, time.monotonic() - started


def test_an_order_comes_with_all_its_details(gateway: FlaskClient, order: Any) -> None:
    details = details_of(gateway, order)
    assert list(details) == ["order", "customer", "bill", "history", "unavailable", "protected"]
    assert details["order"]["order_id"] == order["order_id"]
    assert [line["product"]["name"] for line in details["order"]["items"]] == [
        line["name"] for line in order["items"]
    ]
    assert [line["product"]["stock"] for line in details["order"]["items"]] == [5, 5]
    assert details["customer"]["email"] == "anna@kawa.fr"
    assert details["bill"]["order_id"] == order["order_id"]
    assert [change["to_status"] for change in details["history"]] == ["pending"]
    assert details["unavailable"] == []


def test_the_bill_belongs_to_the_order_and_not_to_another_with_its_order_id(
    gateway: FlaskClient, order: Any, billing_db: Database
) -> None:
    record_bill(billing_db, order["order_id"], str(uuid4()))  # as any client may send one
    assert details_of(gateway, order)["bill"]["id"] == uid_of(gateway, order)
    gateway.put(f"/api/orders/{order['id']}/status", json="cancelled")
    assert gateway.delete(f"/api/orders/{order['id']}").status_code == 200
    items = [{"product_id": 1, "quantity": 1}]
    body = {"customer_id": 2, "order_id": order["order_id"], "items": items}
    assert details_of(gateway, made(gateway, "/api/orders", body))["bill"] is None


def test_the_order_is_the_answer_of_orders_except_for_the_products(
    gateway: FlaskClient, order: Any
) -> None:
    shown = details_of(gateway, order)["order"]
    for line in shown["items"]:
        del line["product"]
    assert shown == gateway.get(f"/api/orders/{order['id']}").json


def test_money_keeps_its_two_decimals(gateway: FlaskClient, order: Any) -> None:
    answer = gateway.get(f"/api/commandes/{order['id']}/details/").text
    assert '"unit_price":9.90' in answer and '"price":20.00' in answer
    assert answer.count('"total_amount":39.80') == 2


def test_what_does_not_exist_is_null_and_not_unavailable(gateway: FlaskClient, order: Any) -> None:
    gateway.delete("/api/customers/1")
    gateway.delete("/api/products/1")
    bare = made(gateway, "/api/orders", {"customer_id": 1, "total_amount": 1})
    details = details_of(gateway, order)
    found = {line["product_id"]: line["product"] for line in details["order"]["items"]}
    assert (found[1], found[2]["name"]) == (None, "Tron, Blu-ray")
    assert (details["customer"], details["unavailable"]) == (None, [])
    details = details_of(gateway, bare)
    assert (details["bill"], details["order"]["items"]) == (None, [])
    assert details["unavailable"] == []


@pytest.mark.parametrize("customer_id", ["CLIENT123", "007", "+1", "9" * 19, "9" * 50, "1/2", "²"])
def test_an_unknown_customer_is_null(
    broken: Callable[..., FlaskClient], gateway: FlaskClient, order: Any, customer_id: str
) -> None:
    bare = made(gateway, "/api/orders", {"customer_id": customer_id, "total_amount": 1})
    details = details_of(broken("refuses", "customers"), bare)
    assert (details["customer"], details["unavailable"]) == (None, [])


PROTECTED = ["bill", "customer", "products"]


@pytest.mark.parametrize(
    ("scopes", "hidden"),
    [
        (["orders:read"], PROTECTED),
        (["orders:read", "customers:read"], ["bill", "products"]),
        (["orders:read", "billing:write"], PROTECTED),
        (["orders:read", "billing:read", "customers:read", "products:read"], []),
    ],
)
def test_a_reader_of_orders_sees_only_the_parts_that_the_token_allows(
    ports: Ports, gateway_db: Database, order: Any, scopes: list[str], hidden: list[str]
) -> None:
    with gateway_db.transaction() as connection:
        token = tokens.create(connection, "reader", scopes, None)
    gateway = gateway_of(ports, guard_of(gateway_db, *CLASSES))
    path = f"/api/orders/{order['id']}/details"
    assert gateway.get(path).status_code == 401
    answer: Any = gateway.get(path, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json["protected"]) == (200, hidden)
    shown = {
        "products": answer.json["order"]["items"][0]["product"],
        "customer": answer.json["customer"],
        "bill": answer.json["bill"],
    }
    assert [name for name in PROTECTED if shown[name] is None] == hidden
    assert (answer.json["history"] is None, answer.json["unavailable"]) == (False, [])


def test_a_token_is_looked_up_once_for_all_parts(
    ports: Ports, gateway_db: Database, order: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gateway_db.transaction() as connection:
        token = tokens.create(connection, "reader", ["orders:read", "billing:read"], None)
    looked_up, holder = [], Tokens.holder

    def noted(own: Tokens, asked: str) -> tokens.Holder | None:
        looked_up.append(asked)
        return holder(own, asked)

    monkeypatch.setattr(Tokens, "holder", noted)
    gateway = gateway_of(ports, guard_of(gateway_db, *CLASSES))
    path = f"/api/orders/{order['id']}/details"
    gateway.get(path, headers={"Authorization": f"Bearer {token}"})
    assert looked_up == [token]


def test_without_a_token_what_is_protected_is_not_shown_by_an_order_that_is_not(
    ports: Ports, gateway_db: Database, order: Any
) -> None:
    gateway = gateway_of(ports, guard_of(gateway_db, "customers", "billing"))
    answer: Any = gateway.get(f"/api/orders/{order['id']}/details")
    assert answer.status_code == 200
    assert (answer.json["customer"], answer.json["bill"]) == (None, None)
    assert answer.json["protected"] == ["bill", "customer"]


@pytest.mark.parametrize("order_id", ["a&b=c", "a b", "é/%2F#?", "ORD-X"])
def test_a_clients_bill_with_an_order_id_is_not_the_orders_bill(
    gateway: FlaskClient, billing_db: Database, order_id: str
) -> None:
    body = {"customer_id": "x", "order_id": order_id, "total_amount": 1}
    bare = made(gateway, "/api/orders", body)
    record_bill(billing_db, order_id, str(uuid4()))
    assert details_of(gateway, bare)["bill"] is None
    record_bill(billing_db, order_id, uid_of(gateway, bare))
    assert details_of(gateway, bare)["bill"]["id"] == uid_of(gateway, bare)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("service", MISSING)
def test_an_unavailable_part_is_null_and_named_and_the_others_are_present(
    broken: Callable[..., FlaskClient], order: Any, service: str, fault: str
) -> None:
    answer, seconds = timed(broken(fault, service), f"/api/orders/{order['id']}/details")
    assert answer.status_code == 200
    assert answer.json["unavailable"] == [MISSING[service]]
    there = {
        "products": answer.json["order"]["items"][0]["product"],
        "customer": answer.json["customer"],
        "bill": answer.json["bill"],
    }
    assert {name for name, found in there.items() if found is None} == {MISSING[service]}
    assert seconds < LATE


@pytest.mark.parametrize("fault", FAULTS)
def test_with_only_orders_available_the_order_comes_in_time(
    broken: Callable[..., FlaskClient], order: Any, fault: str
) -> None:
    gateway = broken(fault, "inventory", "customers", "billing")
    answer, seconds = timed(gateway, f"/api/orders/{order['id']}/details")
    assert answer.status_code == 200
    assert answer.json["unavailable"] == ["bill", "customer", "products"]
    assert answer.json["order"]["order_id"] == order["order_id"]
    assert seconds < LATE


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        *(("refuses", 503), ("hangs", 504), ("drips", 504), ("closes", 502)),
        *(("answers 500", 500), ("answers 503", 503)),
        *(("answers no JSON", 502), ("answers other JSON", 502)),
    ],
)
def test_without_orders_there_is_a_problem_in_time(
    broken: Callable[..., FlaskClient], order: Any, fault: str, status: int
) -> None:
    gateway = broken(fault, "orders")
    answer, seconds = timed(gateway, f"/api/orders/{order['id']}/details")
    assert answer.status_code == status
    assert seconds < LATE


@pytest.fixture
def orders_without_history(ports: Ports, order: Any) -> Iterator[int]:
    """The port of an orders-api whose history hangs."""
    app, awake, found = Flask("orders"), threading.Event(), free_port()
    whole = gateway_of(ports).get(f"/api/orders/{order['id']}").data
    app.add_url_rule("/api/orders/<key>", "order", lambda key: Response(whole))
    app.add_url_rule("/api/orders/<key>/history", "history", lambda key: str(awake.wait(60)))
    with served(app, found):
        yield found
        awake.set()


def test_a_history_that_hangs_is_named_and_the_order_is_there(
    ports: Ports, order: Any, orders_without_history: int, lose_patience: Callable[[], None]
) -> None:
    lose_patience()
    details = details_of(gateway_of(ports | {"orders": orders_without_history}), order)
    assert (details["history"], details["unavailable"]) == (None, ["history"])
    assert details["customer"]["name"] == "Anna"


@pytest.mark.parametrize(
    ("order_id", "status"), [("9223372036854775807", 404), ("x", 422), ("%00", 422), ("0", 422)]
)
def test_the_answer_for_a_missing_order_is_that_of_orders(
    gateway: FlaskClient, order_id: str, status: int
) -> None:
    answer = gateway.get(f"/api/orders/{order_id}/details")
    expected = gateway.get(f"/api/orders/{order_id}")
    assert answer.status_code == expected.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.json and expected.json
    assert answer.json["detail"] == expected.json["detail"]


@pytest.mark.parametrize("word", ["customer", "order", "stats", "status"])
def test_an_id_of_another_kind_may_be_called_details(gateway: FlaskClient, word: str) -> None:
    body = {"customer_id": "details", "order_id": "details", "total_amount": 1}
    made(gateway, "/api/orders", body)
    answer = gateway.get(f"/api/orders/{word}/details")
    assert answer.status_code == {"customer": 200, "order": 200, "stats": 404, "status": 422}[word]
    assert answer.json
    assert "unavailable" not in answer.json


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_details_are_only_read(gateway: FlaskClient, method: str) -> None:
    answer = gateway.open("/api/orders/1/details", method=method)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_each_service_gets_the_caller_and_the_trace(
    ports: Ports, order: Any, raw: Callable[..., RawUpstream]
) -> None:
    servers = [raw(answering(OK)), raw(answering(OK))]
    names = ("customers", "inventory")
    gateway = gateway_of(
        ports | {name: server.port for name, server in zip(names, servers, strict=True)}
    )
    headers = {"X-Request-ID": "details-1", "X-Caller": "root", "Authorization": "Bearer x"}
    gateway.get(f"/api/orders/{order['id']}/details", headers=headers)
    for server in servers:
        assert server.values("X-Request-ID") == ["details-1"]
        assert server.values("X-Caller") == ["anonymous"]
        assert len(server.values("traceparent")) == 1
        assert server.values("Authorization") == []
    assert servers[1].target in (
        b"/api/products?ids=1,2&limit=1000",
        b"/api/products?ids=2,1&limit=1000",
    )


def test_products_that_fill_several_pages_are_all_shown(
    gateway: FlaskClient, movies_db: Database
) -> None:
    fill = """INSERT INTO products (name, description, price, stock)
        SELECT 'Product ' || n, repeat('😀', 10000), 1.00, 1 FROM generate_series(1, 60) n"""
    with movies_db.autocommit() as connection:
        connection.execute(text(fill))
    items = [{"product_id": number, "quantity": 1} for number in range(1, 61)]
    order = made(gateway, "/api/orders", {"customer_id": "1", "items": items})
    shown: Any = gateway.get(f"/api/orders/{order['id']}/details").json
    assert shown["unavailable"] == []
    assert [item["product"]["name"] for item in shown["order"]["items"]] == [
        f"Product {number}" for number in range(1, 61)
    ]
