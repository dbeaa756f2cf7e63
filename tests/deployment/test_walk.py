"""The tutorial's walk on machines, status by status, and what the machines show of it."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import requests

from tests.deployment.platform import SECONDS, URL, Platform, create_customer, create_product
from tools.stack.layout import CHECKOUT
from tools.stack.waiting import wait_until


def test_the_walk_through_movies(platform: Platform) -> None:
    movies = f"{URL}/api/movies"
    description = "Un hacker informatique apprend la vraie nature de sa réalité."
    assert requests.delete(movies, timeout=10).status_code == 200
    created = requests.post(
        movies, json={"title": "The Matrix", "description": description}, timeout=10
    )
    assert created.status_code == 201
    movie = created.json()
    one = f"{movies}/{movie['id']}"
    assert created.headers["Location"].endswith(f"/api/movies/{movie['id']}")
    for address in (movies, f"{movies}/", f"{movies}?title=matrix", f"{movies}/?title=MATRIX"):
        answer = requests.get(address, timeout=10)
        assert (answer.status_code, answer.json()) == (200, [movie])
    assert requests.get(f"{one}/", timeout=10).json() == movie
    changed = requests.put(one, json={"title": "The Matrix Reloaded"}, timeout=10)
    assert (changed.status_code, changed.json()["description"]) == (200, description)
    table = platform.look("inventory-vm", "sudo -iu postgres psql movies_db -c 'TABLE movies;'")
    assert "The Matrix Reloaded" in table
    assert requests.delete(one, timeout=10).status_code == 200
    assert requests.get(one, timeout=10).status_code == 404


def test_the_page_and_the_apis_description_are_there(platform: Platform) -> None:
    page = requests.get(URL, headers={"Accept": "text/html"}, timeout=10)
    assert "<title>CRUD Master</title>" in page.text
    files = ("/static/page.js", "/docs", "/docs/swagger-ui-bundle.js")
    for path in (*files, "/openapi.yaml", "/openapi.json"):
        assert requests.get(f"{URL}{path}", timeout=10).status_code == 200


def test_bills_with_numbers_as_strings_and_a_trailing_slash(platform: Platform) -> None:
    for body in (
        {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97},
        {"user_id": 20, "number_of_items": "5", "total_amount": "180"},
    ):
        assert platform.post_bill(body).status_code == 202
    answer = requests.post(
        f"{URL}/api/billing/",
        json={"user_id": "3", "number_of_items": "5", "total_amount": "180"},
        timeout=10,
    )
    assert answer.status_code == 202
    platform.wait_until_all_are_recorded()
    bill = f"{URL}{answer.headers['Location']}"
    wait_until(lambda: requests.get(bill, timeout=10).status_code == 200, SECONDS, "the bill")
    assert requests.get(bill, timeout=10).json()["number_of_items"] == 5


def test_the_walk_through_customers_and_their_events(platform: Platform) -> None:
    body = {"name": "Benjamin", "email": f"{uuid4().hex}@kawa.fr", "phone": "0601020304"}
    with platform.customer_events("tests-walk") as events:
        created = requests.post(f"{URL}/api/customers", json=body, timeout=10)
        assert created.status_code == 201
        customer = created.json()
        assert customer == {**body, "id": customer["id"], "company": None, "version": 1}
        again = requests.post(f"{URL}/api/clients", json=body, timeout=10)
        assert again.status_code == 409
        one = f"{URL}/api/customers/{customer['id']}"
        assert requests.get(f"{one}/", timeout=10).json() == customer
        found = requests.get(f"{URL}/api/clients", params={"email": body["email"]}, timeout=10)
        assert found.json() == [customer]
        changed = requests.put(one, json={"name": "Benjamin Updated"}, timeout=10).json()
        assert changed == {**customer, "name": "Benjamin Updated", "version": 2}
        table = platform.look(
            "customers-vm", "sudo -iu postgres psql customers_db -c 'TABLE customers;'"
        )
        assert "Benjamin Updated" in table
        assert requests.delete(one, timeout=10).status_code == 200
        assert requests.get(one, timeout=10).status_code == 404
        wait_until(lambda: len(events()) >= 3, SECONDS, "three events")
        told = [(event["type"], event["source"], event["data"]) for event in events()]
    assert told == [
        ("customer.created", "customer-api", customer),
        ("customer.updated", "customer-api", changed),
        ("customer.deleted", "customer-api", changed | {"version": 3}),
    ]


def test_the_walk_through_an_order_from_its_post_to_its_mail(platform: Platform) -> None:
    customer, product = create_customer().json(), create_product(5)
    items = [{"product_id": product, "quantity": 2}]
    body = {"customer_id": str(customer["id"]), "items": items}
    refused = requests.post(f"{URL}/api/orders", json=body, timeout=10)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    created = requests.post(f"{URL}/api/orders", json=body, headers=platform.token, timeout=10)
    assert created.status_code == 201
    order = created.json()
    assert (order["status"], order["total_amount"]) == ("pending", 19.98)
    platform.wait_for_order(order)
    stock = requests.get(f"{URL}/api/products/{product}", timeout=10).json()["stock"]
    assert stock == 3
    history = f"{URL}/api/commandes/{order['id']}/history"
    passed = requests.get(history, headers=platform.token, timeout=10).json()
    states = ["pending", "processing", "completed"]
    assert [change["to_status"] for change in passed] == states
    bills = requests.get(f"{URL}/api/billing", timeout=10).json()
    assert [bill["order_id"] for bill in bills].count(order["order_id"]) == 1
    table = platform.look("orders-vm", "sudo -iu postgres psql orders_db -c 'TABLE orders;'")
    assert order["order_id"] in table
    platform.wait_for_mails(order, "created", "completed")
    mails = platform.look("orders-vm", "crud-master orders mail list")
    [line] = [
        line for line in mails.splitlines() if ".completed " in line and order["order_id"] in line
    ]
    assert customer["email"] in line
    shown = platform.look("orders-vm", f"crud-master orders mail show {line.split()[0]}")
    assert "19.98" in shown


def test_an_order_for_more_than_the_stock_is_cancelled_and_reserves_nothing(
    platform: Platform,
) -> None:
    order = platform.place_order(quantity=2, stock=1)
    platform.wait_for_order(order, "cancelled")
    product = order["items"][0]["product_id"]
    answer = requests.get(f"{URL}/api/products/{product}", timeout=10).json()
    assert (answer["stock"], answer["name"] in platform.order(order)["reason"]) == (1, True)
    platform.wait_for_mails(order, "created", "cancelled")


def test_the_sample_data_are_loaded_from_the_host(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    seed = [sys.executable, str(CHECKOUT / "sample-data" / "seed.py"), "--orders", str(file)]
    environment = {"GATEWAY_URL": URL, "API_TOKEN": platform.variables["API_TOKEN"]}
    subprocess.run(seed, env=environment, check=True)
    platform.vagrant.run("upload", str(file), "/tmp/orders.csv", "orders-vm")
    for loaded in ("loaded: 30;", "loaded: 0;"):
        said = platform.look("orders-vm", "crud-master orders import /tmp/orders.csv")
        assert loaded in said
    known = f"{URL}/api/orders/order/OLD-0001"
    assert requests.get(known, headers=platform.token, timeout=10).status_code == 200


def test_a_created_token_may_read_and_not_write(platform: Platform) -> None:
    create = "crud-master gateway token create --name tests --scope orders:read"
    token = platform.look("gateway-vm", create).split()[-1]
    headers = {"Authorization": f"Bearer {token}"}
    orders = f"{URL}/api/orders"
    assert requests.get(orders, headers=headers, timeout=10).status_code == 200
    assert requests.post(orders, json={}, headers=headers, timeout=10).status_code == 403
    platform.look("gateway-vm", "crud-master gateway token revoke tests")
    assert requests.get(orders, headers=headers, timeout=10).status_code == 401


def test_an_event_of_another_system_is_in_events_queue(platform: Platform) -> None:
    body = {"order_id": 12345, "customer": "John Doe", "total_amount": 250}
    answer = requests.post(f"{URL}/api/event/ecommerce/order/create", json=body, timeout=10)
    assert (answer.status_code, answer.json()["event_data"]) == (201, body)
    one = f"{URL}/api/events/{answer.json()['event_uid']}"
    wait_until(
        lambda: requests.get(one, timeout=10).json()["delivered_at"], SECONDS, "its delivery"
    )
    wait_until(lambda: platform.waiting("events_queue") > 0, SECONDS, "a message in events_queue")
    assert requests.get(f"{URL}/api/events?delivered=false", timeout=10).json() == []


def test_errors_of_a_bill_are_named_by_field(platform: Platform) -> None:
    answer = requests.post(f"{URL}/api/billing", json={"number_of_items": 0}, timeout=10)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
