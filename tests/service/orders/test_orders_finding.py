"""Finding orders: pages, filters, figures."""

from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask.testing import FlaskClient
from sqlalchemy import insert, text
from werkzeug.test import TestResponse

from chassis.storage.database import Database
from orders import models, queries
from tests.support.answers import content, fields, problem, walked
from tests.support.orders_api import BOTH, COMMANDES, ORDERS, create, create_with_items, make
from tests.support.statements import plan_of, statements_of

START = datetime(2024, 1, 2, tzinfo=timezone.utc)
MANY = """
    INSERT INTO orders (order_id, customer_id, total_amount, status, created_at)
    SELECT n::text, (n % 500)::text, 1,
        CASE WHEN n % 1000 = 0 THEN 'cancelled' ELSE 'completed' END,
        timestamptz '2024-01-01T00:00:00Z' + n * interval '1 minute'
    FROM generate_series(1, 20000) n
"""


def names(response: TestResponse) -> list[str]:
    """The order_ids in a list."""
    assert response.status_code == 200, response.text
    return [order["order_id"] for order in content(response)]


@BOTH
def test_orders_are_listed_the_newest_first_with_their_items(
    orders: FlaskClient, orders_db: Database, path: str
) -> None:
    assert orders.get(path).json == []
    made = [content(orders.get(f"{ORDERS}/{make(orders, orders_db, 'pending', n == 1)}"))
            for n in range(3)]  # fmt: skip
    assert orders.get(path).json == made[::-1]
    assert [len(order["items"]) for order in made] == [0, 2, 0]
    assert made[1]["items"][0]["unit_price"] == 9.99


def test_items_cost_no_query_for_each_order(orders_db: Database) -> None:
    for _ in range(5):
        create_with_items(orders_db)
    with (
        orders_db.transaction() as connection,
        statements_of(connection) as sent,
        queries.find(connection, limit=10) as lent,
    ):
        found = list(lent)
    assert [len(order["items"]) for order in found] == [2] * 5
    assert len(sent) == 1


@BOTH
@pytest.mark.parametrize(
    ("below", "query"),
    [
        ("", {}),
        ("", {"customer_id": "Zoë & co/1"}),
        ("", {"status": "pending", "from": "2024-01-01T00:00:00Z"}),
        ("/status/pending", {}),
        ("/status/pending", {"customer_id": "Zoë & co/1"}),
        (f"/customer/{quote('Zoë & co/1')}", {}),
        (f"/customer/{quote('Zoë & co/1')}", {"status": "pending", "to": "2200-01-01T00:00:00Z"}),
    ],
)
def test_a_list_can_be_walked_to_its_end_over_the_links(
    orders: FlaskClient, orders_db: Database, path: str, below: str, query: dict[str, str]
) -> None:
    rows = [
        {"order_id": f"{n}", "customer_id": "Zoë & co/1", "total_amount": 1} for n in range(1, 26)
    ]
    with orders_db.autocommit() as connection:
        connection.execute(insert(models.orders), rows)
    found, sizes = [], []
    target = f"{path}{below}?{urlencode({**query, 'limit': 10})}"
    for response in walked(orders, target):
        found += names(response)
        sizes.append(len(content(response)))
    assert found == [f"{n}" for n in range(25, 0, -1)]
    assert sizes == [10, 10, 5]


def test_a_link_takes_any_customer_id(orders: FlaskClient) -> None:
    customer_id = "日本; rel=x>"
    for _ in range(2):
        create(orders, customer_id=customer_id)
    response = orders.get(f"{ORDERS}/customer/{quote(customer_id)}?limit=1")
    target = response.headers["Link"].partition(">")[0].removeprefix("<")
    assert len(content(orders.get(target))) == 1


def test_a_page_has_a_hundred_orders_by_default(orders: FlaskClient, orders_db: Database) -> None:
    rows = [{"order_id": f"{n}", "customer_id": "1", "total_amount": 1} for n in range(1001)]
    with orders_db.autocommit() as connection:
        connection.execute(insert(models.orders), rows)
    assert len(content(orders.get(ORDERS))) == 100
    assert len(content(orders.get(f"{ORDERS}?limit=1000"))) == 1000


@pytest.fixture
def assorted(orders: FlaskClient, orders_db: Database) -> FlaskClient:
    """A client of an API that has four orders of all sorts, a day apart from each other."""
    for order_id, customer_id, status in (
        ("A", "1", "pending"),
        ("B", "2", "pending"),
        ("C", "1", "completed"),
        ("D", "1", "pending"),
    ):
        create(orders, order_id=order_id, customer_id=customer_id, status=status)
    with orders_db.autocommit() as connection:
        days = "timestamptz '2024-01-01T00:00:00Z' + id * interval '1 day'"
        connection.execute(text(f"UPDATE orders SET created_at = {days}"))
    return orders


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("?status=pending", "DBA"),
        ("?customer_id=1", "DCA"),
        ("?customer_id=1&status=pending", "DA"),
        ("?order_id=C", "C"),
        ("?order_id=C&status=pending", ""),
        ("?customer_id=none", ""),
        ("?from=2024-01-03T00:00:00Z", "DCB"),
        ("?to=2024-01-03T00:00:00Z", "A"),
        ("?from=2024-01-03T00:00:00Z&to=2024-01-05T00:00:00Z", "CB"),
        ("?from=2024-01-03T02:00:00%2B02:00&status=pending", "DB"),
        ("?after=3", "BA"),
        ("?after=3&status=pending&limit=1", "B"),
        ("/status/pending", "DBA"),
        ("/status/cancelled", ""),
        ("/status/pending?customer_id=1", "DA"),
        ("/customer/1", "DCA"),
        ("/customer/1?status=pending&to=2024-01-03T00:00:00Z", "A"),
        ("/customer/nobody", ""),
    ],
)
def test_filters_choose_and_can_be_combined(
    assorted: FlaskClient, target: str, expected: str
) -> None:
    assert "".join(names(assorted.get(f"{ORDERS}{target}"))) == expected


@pytest.mark.parametrize(
    "order_id", ["CMD001", "A B", "2024/09/001", "Zoë", "stats", "50%", "1", "a\nb/c\nd"]
)
def test_an_order_is_found_by_its_order_id(orders: FlaskClient, order_id: str) -> None:
    order = create(orders, order_id=order_id)
    create(orders, order_id="another")
    for slash in ("", "/"):
        found = orders.get(f"{COMMANDES}/order/{quote(order_id)}{slash}")
        assert (found.status_code, found.json) == (200, order)
    assert "nobody" in problem(orders.get(f"{ORDERS}/order/nobody"), 404)["detail"]


def test_stats_count_and_sum_by_state_and_in_all(assorted: FlaskClient) -> None:
    response = assorted.get(f"{ORDERS}/stats")
    assert '"amount":0.00' in response.text
    assert content(response) == {
        "by_status": {
            "pending": {"count": 3, "amount": 30},
            "processing": {"count": 0, "amount": 0},
            "completed": {"count": 1, "amount": 10},
            "cancelled": {"count": 0, "amount": 0},
        },
        "total": {"count": 4, "amount": 40},
    }


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?after=abc", "after"),
        ("?status=new", "status"),
        ("?status=", "status"),
        ("?customer_id=", "customer_id"),
        (f"?customer_id={'x' * 51}", "customer_id"),
        ("?order_id=%00", "order_id"),
        ("?from=yesterday", "from"),
        ("?to=2024-09-30", "to"),
        ("?from=2024-09-30T00:00:01Z&to=2024-09-30T00:00:00Z", "to"),
        ("?to=2024-09-30T00:00:00%2B02:00&from=2024-09-30T00:00:00Z", "to"),
        ("/customer/1?from=2024-09-30T00:00:01Z&to=2024-09-30T00:00:00Z", "to"),
        ("/status/pending?from=2024-09-30T00:00:01Z&to=2024-09-30T00:00:00Z", "to"),
        ("?since=2024-09-30T00:00:00Z", "since"),
        ("?status=pending&status=completed", "status"),
        ("?total_amount=5", "total_amount"),
        ("/status/new", "status"),
        ("/status/pending?status=pending", "status"),
        ("/customer/1?customer_id=1", "customer_id"),
        (f"/customer/{'x' * 51}", "customer_id"),
        (f"/order/{'x' * 51}", "order_id"),
    ],
)
def test_errors_of_a_search_are_named(orders: FlaskClient, target: str, field: str) -> None:
    assert fields(orders.get(f"{ORDERS}{target}")) == [field]


def test_a_search_from_a_time_to_the_same_time_finds_nothing(orders: FlaskClient) -> None:
    create(orders)
    assert orders.get(f"{ORDERS}?from=2024-09-30T00:00:00Z&to=2024-09-30T00:00:00Z").json == []


def test_orders_of_a_customer_with_a_line_feed_in_the_id_are_found(orders: FlaskClient) -> None:
    order = create(orders, customer_id="a\nb")
    assert orders.get(f"{ORDERS}/customer/{quote(order['customer_id'])}").json == [order]


@pytest.mark.parametrize(
    ("search", "index"),
    [
        ({"status": "cancelled"}, "orders_status"),
        ({"customer_id": "7"}, "orders_customer"),
        ({"since": START, "until": START + timedelta(hours=1)}, "orders_created"),
        ({"order_id": "77"}, "orders_order_id_unique"),
        ({}, "orders_pkey"),
    ],
)
def test_a_search_among_many_uses_its_index(
    orders_db: Database, search: dict[str, Any], index: str
) -> None:
    with orders_db.autocommit() as connection:
        connection.execute(text(MANY))
        connection.execute(text("VACUUM ANALYZE orders"))
    with orders_db.transaction() as connection:
        with (
            statements_of(connection) as sent,
            queries.find(connection, **search, limit=11) as found,
        ):
            assert list(found)
        [statement] = sent
        plan = plan_of(connection, statement)
        assert f"using {index} " in plan or f"on {index} " in plan
