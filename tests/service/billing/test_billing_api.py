"""billing-api: `GET /api/billing` and `GET /api/billing/{id}`."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.test import TestResponse

from billing import bills
from billing.app import create_app
from billing.settings import Settings
from chassis.settings import BrokerSettings, DatabaseSettings
from chassis.storage.database import Database
from tests.support.answers import content, problem, walked
from tests.support.settings import SERVER, port

BILLS = "/api/billing"


def record(database: Database, *rows: dict[str, Any]) -> None:
    """Record bills, in this order; what a row leaves out is some value."""
    usual = {"user_id": "usr_123", "number_of_items": 3, "total_amount": Decimal("99.97")}
    with database.transaction() as connection:
        for row in rows:
            bills.record(connection, [{**usual, **row}])


def numbered(database: Database, amount: int, **values: Any) -> None:
    """Record so many bills, with the ids bill-0, bill-1 and so on."""
    record(database, *({"message_id": f"bill-{n}", **values} for n in range(amount)))


def ids(response: TestResponse) -> list[str]:
    """The ids of the bills in a list."""
    assert response.status_code == 200, response.text
    return [bill["id"] for bill in content(response)]


def test_a_bill_can_be_read_under_the_id_of_its_message(
    billing: FlaskClient, billing_db: Database
) -> None:
    record(billing_db, {"message_id": "bill-1"})
    bill = content(billing.get(f"{BILLS}/bill-1"))
    created = datetime.fromisoformat(bill.pop("created_at").replace("Z", "+00:00"))
    assert created.tzinfo is not None
    assert bill == {
        "id": "bill-1",
        "user_id": "usr_123",
        "number_of_items": 3,
        "total_amount": 99.97,
        "order_id": None,
        "voided_at": None,
    }


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("180", "180.00"), ("0", "0.00"), ("0.1", "0.10"), ("9999999999.99", "9999999999.99")],
)
def test_an_amount_is_a_number_with_two_decimals(
    billing: FlaskClient, billing_db: Database, amount: str, shown: str
) -> None:
    record(billing_db, {"message_id": "bill-1", "total_amount": Decimal(amount)})
    assert f'"total_amount":{shown},' in billing.get(f"{BILLS}/bill-1").text
    assert f'"total_amount":{shown},' in billing.get(BILLS).text


def test_a_bill_that_is_not_recorded_is_a_404(billing: FlaskClient) -> None:
    problem(billing.get(f"{BILLS}/7ad5e7a4-3ac5-4d1a-a6a5-6f1e0f6f7a31"), 404)


@pytest.mark.parametrize("key", ["%00", "a%00b", "x" * 256])
def test_an_impossible_bill_id_is_refused(billing: FlaskClient, key: str) -> None:
    document = problem(billing.get(f"{BILLS}/{key}"), 422)
    assert [fault["field"] for fault in document["errors"]] == ["id"]


@pytest.mark.parametrize("key", ["%FF", "a%20b", "%F0%9F%98%80", "'", "%25", "x" * 255])
def test_any_text_may_be_asked_for(billing: FlaskClient, key: str) -> None:
    problem(billing.get(f"{BILLS}/{key}"), 404)


def test_bills_are_listed_newest_first(billing: FlaskClient, billing_db: Database) -> None:
    numbered(billing_db, 3)
    response = billing.get(BILLS)
    assert ids(response) == ["bill-2", "bill-1", "bill-0"]
    assert content(response)[0] == billing.get(f"{BILLS}/bill-2").json


def test_without_bills_the_list_is_empty(billing: FlaskClient) -> None:
    assert ids(billing.get(BILLS)) == []


@pytest.mark.parametrize(("asked", "found"), [("usr_1", ["a"]), ("7", ["b"]), ("usr", [])])
def test_the_list_can_be_narrowed_to_one_user(
    billing: FlaskClient, billing_db: Database, asked: str, found: list[str]
) -> None:
    record(
        billing_db,
        {"message_id": "a", "user_id": "usr_1"},
        {"message_id": "b", "user_id": "7"},
        {"message_id": "c", "user_id": "USR_1"},
    )
    assert ids(billing.get(f"{BILLS}?user_id={asked}")) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("order_id=CMD001", ["c", "a"]),
        ("order_id=CMD001&user_id=usr_1", ["a"]),
        ("order_id=CMD001&after=c", ["a"]),
        ("order_id=cmd001", []),
    ],
)
def test_the_list_can_be_narrowed_to_one_order(
    billing: FlaskClient, billing_db: Database, query: str, found: list[str]
) -> None:
    record(
        billing_db,
        {"message_id": "a", "order_id": "CMD001", "user_id": "usr_1"},
        {"message_id": "b", "order_id": "CMD002", "user_id": "usr_1"},
        {"message_id": "c", "order_id": "CMD001", "user_id": "usr_2"},
        {"message_id": "d", "user_id": "usr_1"},
    )
    assert ids(billing.get(f"{BILLS}?{query}")) == found


def test_a_void_bill_shows_since_when(billing: FlaskClient, billing_db: Database) -> None:
    numbered(billing_db, 2)
    with billing_db.transaction() as connection:
        assert bills.void(connection, "bill-1")
    void, valid = content(billing.get(BILLS))
    assert datetime.fromisoformat(void["voided_at"].replace("Z", "+00:00")).tzinfo is not None
    assert valid["voided_at"] is None
    assert void == billing.get(f"{BILLS}/bill-1").json


def test_the_list_can_be_walked_to_its_end_over_the_links(
    billing: FlaskClient, billing_db: Database
) -> None:
    numbered(billing_db, 25, user_id="é &")
    record(billing_db, {"message_id": "another's"})
    found, sizes = [], []
    for response in walked(billing, f"{BILLS}/?user_id=%C3%A9%20%26&limit=10"):
        found += ids(response)
        sizes.append(len(content(response)))
    assert found == [f"bill-{n}" for n in reversed(range(25))]
    assert sizes == [10, 10, 5]


def test_a_walk_sees_nothing_twice_when_bills_arrive_meanwhile(
    billing: FlaskClient, billing_db: Database
) -> None:
    numbered(billing_db, 4)
    first = ids(billing.get(f"{BILLS}?limit=2"))
    record(billing_db, {"message_id": "newer"})
    assert ids(billing.get(f"{BILLS}?after={first[-1]}")) == ["bill-1", "bill-0"]


def test_a_page_has_a_hundred_bills_by_default(billing: FlaskClient, billing_db: Database) -> None:
    numbered(billing_db, 101)
    assert len(ids(billing.get(BILLS))) == 100


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=abc", "limit"),
        ("limit=", "limit"),
        ("after=not-the-id-of-a-bill", "after"),
        ("after=", "after"),
        ("after=%00", "after"),
        (f"after={'x' * 256}", "after"),
        ("user_id=", "user_id"),
        ("user_id=%00", "user_id"),
        (f"user_id={'x' * 65}", "user_id"),
        ("user_id=a&user_id=b", "user_id"),
        ("order_id=", "order_id"),
        ("order_id=%00", "order_id"),
        (f"order_id={'x' * 51}", "order_id"),
        ("total_amount=5", "total_amount"),
    ],
)
def test_a_query_parameter_that_is_wrong_unknown_or_repeated_is_named(
    billing: FlaskClient, query: str, field: str
) -> None:
    document = problem(billing.get(f"{BILLS}?{query}"), 422)
    assert [fault["field"] for fault in document["errors"]] == [field]


def test_both_routes_answer_with_a_trailing_slash_too(
    billing: FlaskClient, billing_db: Database
) -> None:
    numbered(billing_db, 1)
    assert billing.get(f"{BILLS}/").json == billing.get(BILLS).json
    assert billing.get(f"{BILLS}/bill-0/").json == billing.get(f"{BILLS}/bill-0").json


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [BILLS, f"{BILLS}/bill-0"])
def test_bills_can_only_be_read_here(billing: FlaskClient, method: str, path: str) -> None:
    response = billing.open(path, method=method, json={})
    problem(response, 405)
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_head_answers_as_get_without_the_body(billing: FlaskClient, billing_db: Database) -> None:
    numbered(billing_db, 1)
    for path in (BILLS, f"{BILLS}/bill-0"):
        get, head = billing.get(path), billing.head(path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["Content-Length"] == str(len(get.data))


@pytest.mark.parametrize("path", [BILLS, f"{BILLS}/bill-0", f"{BILLS}?after=bill-0"])
def test_without_the_database_reading_is_a_503(path: str, broker_settings: BrokerSettings) -> None:
    nowhere = DatabaseSettings(
        host="127.0.0.1", port=port().port, name="away", user="away", password=SecretStr("away")
    )
    app = create_app(
        Settings(SERVER, port(), port(), nowhere, broker_settings, consumer_port=port())
    )
    response = app.test_client().get(path)
    assert problem(response, 503)["cause"] == "database_unavailable"
    assert "Retry-After" in response.headers
