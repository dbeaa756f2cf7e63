"""What is told of orders: events, and the history."""

from flask.testing import FlaskClient
from sqlalchemy import text

from chassis.storage.database import Database
from tests.support.answers import content
from tests.support.orders_api import (
    BARE,
    BOTH,
    ORDERS,
    announced,
    create,
    create_with_items,
    moment,
    types,
)


def test_each_change_is_announced_with_all_that_a_consumer_needs(
    orders: FlaskClient, orders_db: Database
) -> None:
    with orders_db.autocommit() as connection:
        connection.execute(
            text(
                "INSERT INTO customers (id, name, email, noted_at) VALUES (7, 'B', 'b@k.fr', now())"
            )
        )
    create(orders, order_id="A", customer_id="7")
    orders.put(f"{ORDERS}/1", json={"total_amount": 12})
    for status in ("processing", "completed"):
        orders.put(f"{ORDERS}/1/status", json=status)
    orders.delete(f"{ORDERS}/1")
    events = announced(orders_db)
    assert [told["type"].removeprefix("order.") for told in events] == [
        *("created", "updated", "updated", "completed", "deleted")
    ]
    assert [told["data"]["status"] for told in events] == [
        *("pending", "pending", "processing", "completed", "completed")
    ]
    uid = events[0]["data"]["uid"]
    for told in events:
        assert told["source"] == "orders-api"
        assert moment(told["data"].pop("timestamp")).tzinfo
        expected = {
            **{"uid": uid, "id": 1, "order_id": "A", "customer_id": "7", "email": "b@k.fr"},
            **{"status": told["data"]["status"], "total": told["data"]["total"]},
            **{"lines": [], "reason": None},
        }
        assert told["data"] == expected
    assert [told["data"]["total"] for told in events] == [10, 12, 12, 12, 12]


def test_an_order_with_items_is_announced_with_its_lines(orders_db: Database) -> None:
    order = create_with_items(orders_db)
    [told] = announced(orders_db)
    assert told["data"]["uid"] == str(order["uid"])
    assert (told["data"]["email"], told["data"]["total"]) == (None, 39.98)
    assert told["data"]["lines"] == [
        {"product_id": 1, "name": "The Matrix, DVD", "quantity": 2, "unit_price": 9.99},
        {"product_id": 4, "name": "Tron, Blu-ray", "quantity": 1, "unit_price": 20.0},
    ]


def test_an_order_cancelled_by_hand_has_that_reason(
    orders: FlaskClient, orders_db: Database
) -> None:
    key = create_with_items(orders_db)["id"]
    assert content(orders.put(f"{ORDERS}/{key}/status", json="cancelled"))["reason"]
    told = announced(orders_db)[-1]
    assert (told["type"], told["data"]["reason"]) == ("order.cancelled", "cancelled on request")


def test_a_failed_change_is_not_announced(orders: FlaskClient, orders_db: Database) -> None:
    create(orders, order_id="A", status="completed")
    orders.post(ORDERS, json={**BARE, "order_id": "A"})
    orders.put(f"{ORDERS}/1/status", json="pending")
    orders.put(f"{ORDERS}/1", json={"total_amount": 1})
    orders.put(f"{ORDERS}/2", json={"customer_id": "1"})
    orders.delete(f"{ORDERS}/2")
    assert types(orders_db) == ["order.created"]


@BOTH
def test_the_history_has_each_change_with_its_time_cause_and_message_id(
    orders: FlaskClient, path: str
) -> None:
    orders.post(ORDERS, json=BARE, headers={"X-Request-ID": "request-1"})
    for number, status in enumerate(("processing", "completed"), start=2):
        headers = {"X-Request-ID": f"request-{number}"}
        orders.put(f"{ORDERS}/1/status", json=status, headers=headers)
    changes = content(orders.get(f"{path}/1/history"))
    times = [moment(change.pop("at")) for change in changes]
    assert times == sorted(times)
    states = [None, "pending", "processing", "completed"]
    assert changes == [
        {
            **{"from_status": states[n - 1], "to_status": states[n]},
            **{"cause": "api", "message_id": f"request-{n}"},
        }
        for n in range(1, 4)
    ]
