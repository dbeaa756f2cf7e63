"""POST /api/orders says whether the customer is known, and takes the order all the same."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from chassis.http import circuit_breaker
from chassis.http.circuit_breaker import FAILURES
from chassis.http.client import ServiceClient
from chassis.settings import Upstream
from chassis.storage.database import Database
from orders.app import create_app
from orders.mail import recording
from orders.mail.message import OrderData
from orders.mail.recipients import RecipientLookup
from orders.mail.recording import Cause
from orders.settings import Settings
from orders.sweeping import resending
from tests.support.answers import content
from tests.support.mailing import order_data, served
from tests.support.orders_api import COMMANDES, ORDERS, stored
from tests.support.raw_upstream import RawUpstream, answering, silent
from tools.stack.ports import free_port

UNKNOWN = "order for an unknown customer: no mail is expected"
UNCHECKED = "the customer of an order is not checked"
FAULTY = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
NO_IDS = ["CLIENT123", "0", "-1", "01", "1.0", "9223372036854775808", "1/../2", "\u0661"]
Make = Callable[[int], FlaskClient]


@pytest.fixture
def behind(orders_unconnected: Settings) -> Make:
    """Make orders-api with the customers API at a port."""

    def make(port: int) -> FlaskClient:
        customers = Upstream("customers-api", "127.0.0.1", port)
        return create_app(replace(orders_unconnected, customers=customers)).test_client()

    return make


@contextmanager
def upstream(*acts: Any) -> Iterator[RawUpstream]:
    """Serve what a test says as the customers API."""
    server = RawUpstream(list(acts))
    try:
        yield server
    finally:
        server.close()


def place(orders: FlaskClient, customer_id: object = 1, path: str = ORDERS, key: str = "") -> Any:
    """Place a bare order; return the answer's body."""
    body = {"customer_id": customer_id, "total_amount": 5}
    response = orders.post(path, json=body, headers={"Idempotency-Key": key} if key else {})
    assert response.status_code == 201, response.text
    return content(response)


def note(database: Database, customer_id: int, forgotten: bool = False) -> None:
    """Write a customer into the copy."""
    row = "INSERT INTO customers (id, name, email, noted_at, forgotten) VALUES "
    known = ":id, 'Ben', 'ben@kawa.fr', now(), false"
    with database.autocommit() as connection:
        values = ":id, NULL, NULL, now(), true" if forgotten else known
        connection.execute(text(f"{row} ({values})"), {"id": customer_id})


def said(caplog: pytest.LogCaptureFixture, message: str) -> list[Any]:
    """What the log says with a message."""
    return [record for record in caplog.records if record.getMessage() == message]


@pytest.mark.parametrize("path", [ORDERS, COMMANDES])
def test_a_customer_in_the_replica_is_known_without_a_request(
    behind: Make, orders_db: Database, path: str
) -> None:
    note(orders_db, 1)
    with upstream(silent) as customers:
        assert place(behind(customers.port), path=path)["customer"] == "known"
        assert customers.requests == []


def test_a_deleted_customer_is_unknown_and_nobody_is_asked(
    behind: Make, orders_db: Database
) -> None:
    note(orders_db, 1, forgotten=True)
    with upstream(silent) as customers:
        assert place(behind(customers.port))["customer"] == "unknown"
        assert customers.requests == []


def test_a_customer_who_is_not_in_the_replica_is_requested(
    behind: Make, customers: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    made = customers.post("/api/customers", json={"name": "Ben", "email": "ben@kawa.fr"}).json
    assert made is not None
    port = free_port()
    with served(customers.application, port):
        orders = behind(port)
        assert place(orders, made["id"])["customer"] == "known"
        assert said(caplog, UNKNOWN) == []
        order = place(orders, made["id"] + 1)
    assert order["customer"] == "unknown"
    (record,) = said(caplog, UNKNOWN)
    assert record.levelno == logging.WARNING
    assert (record.order_id, record.customer_id) == (order["order_id"], order["customer_id"])


@pytest.mark.parametrize("customer_id", NO_IDS)
def test_text_that_is_not_an_id_is_unknown_without_a_request(
    behind: Make, customer_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with upstream(silent) as customers:
        assert place(behind(customers.port), customer_id)["customer"] == "unknown"
        assert customers.requests == []
    assert len(said(caplog, UNKNOWN)) == 1


def test_an_order_is_accepted_while_customers_is_stopped(
    behind: Make, orders_db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    orders = behind(free_port())
    assert place(orders)["customer"] == "unchecked"
    assert len(said(caplog, UNCHECKED)) == 1
    assert said(caplog, UNKNOWN) == []
    note(orders_db, 1)
    assert place(orders)["customer"] == "known"
    assert len(stored(orders_db)) == 2


def test_an_order_is_accepted_although_customers_answers_nonsense(behind: Make) -> None:
    with upstream(answering(FAULTY)) as customers:
        assert place(behind(customers.port))["customer"] == "unchecked"


def test_a_frozen_customers_api_soon_gets_no_more_requests(
    behind: Make, orders_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 600)
    with upstream(silent) as customers:
        orders = behind(customers.port)
        for _ in range(FAILURES + 3):
            assert place(orders)["customer"] == "unchecked"
        assert len(customers.requests) == FAILURES
    assert len(stored(orders_db)) == FAILURES + 3


def test_a_repetition_gets_the_first_answer(behind: Make, orders_db: Database) -> None:
    orders = behind(free_port())
    first = place(orders, key="key-1")
    note(orders_db, 1)
    assert place(orders, key="key-1") == first
    assert first["customer"] == "unchecked"


def test_a_repetition_whose_answer_was_lost_is_marked_as_replayed(
    behind: Make, orders_db: Database
) -> None:
    note(orders_db, 1)
    orders = behind(free_port())
    first = place(orders, key="key-1")
    with orders_db.autocommit() as connection:
        connection.execute(text("DELETE FROM idempotency_keys"))
    assert place(orders, key="key-1") == first
    assert first["customer"] == "known"
    assert len(stored(orders_db)) == 1


def test_no_other_answer_has_it_and_the_etag_is_that_of_get(behind: Make) -> None:
    orders = behind(free_port())
    made = orders.post(ORDERS, json={"customer_id": "A", "total_amount": 5})
    order = content(made)
    assert order.pop("customer") == "unknown"
    got = orders.get(made.headers["Location"])
    assert content(got) == order
    assert got.headers["ETag"] == made.headers["ETag"]
    match = {"If-Match": made.headers["ETag"]}
    moved = orders.put(f"{ORDERS}/{order['id']}/status", json="cancelled", headers=match)
    assert moved.status_code == 200
    assert "customer" not in content(moved)
    assert "customer" not in content(orders.delete(f"{ORDERS}/{order['id']}"))


def test_the_mail_of_an_unknown_customer_ends_and_is_not_asked_for_again(
    behind: Make, orders_db: Database, addressing: RecipientLookup
) -> None:
    with upstream(silent) as customers:
        order = place(behind(customers.port), "CLIENT123")
    uid = stored(orders_db)[0]["uid"]
    data = OrderData.model_validate(
        order_data(uid=uid, order_id=order["order_id"], customer_id="CLIENT123", email=None)
    )
    with orders_db.transaction() as connection:
        recording.record(connection, [Cause("created", data, "event-1", None)])
        connection.execute(text("DELETE FROM outbox"))
    assert addressing.work()
    assert not addressing.work()
    with orders_db.transaction() as connection:
        assert connection.execute(text("SELECT state FROM mails")).scalars().all() == ["unknown"]
        swept = resending.sweep(connection, timedelta(0), timedelta(seconds=60))
        assert (swept.settled, swept.unsettled) == (1, 0)


@pytest.fixture
def addressing(orders_db: Database) -> RecipientLookup:
    """What finds the addresses of mails; the customers API is stopped."""
    client = ServiceClient(Upstream("customers-api", "127.0.0.1", free_port()))
    return RecipientLookup(orders_db, client, threading.Event())
