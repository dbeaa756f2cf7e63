"""The README's walk, status by status."""

from uuid import uuid4

import requests

from local.waiting import wait_until
from tests.deployment.platform import URL, Platform


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
    table = platform.ssh("inventory-vm", "sudo -iu postgres psql movies_db -c 'TABLE movies;'")
    assert "The Matrix Reloaded" in table
    assert requests.delete(one, timeout=10).status_code == 200
    assert requests.get(one, timeout=10).status_code == 404


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
    wait_until(lambda: requests.get(bill, timeout=10).status_code == 200, 30, "the bill")
    assert requests.get(bill, timeout=10).json()["number_of_items"] == 5


def test_the_walk_through_customers_and_their_events(platform: Platform) -> None:
    body = {"name": "Benjamin", "email": f"{uuid4().hex}@kawa.fr", "phone": "0601020304"}
    with platform.customer_events("tests-walk") as events:
        created = requests.post(f"{URL}/api/customers", json=body, timeout=10)
        assert created.status_code == 201
        customer = created.json()
        assert customer == {**body, "id": customer["id"], "company": None}
        again = requests.post(f"{URL}/api/clients", json=body, timeout=10)
        assert again.status_code == 409
        one = f"{URL}/api/customers/{customer['id']}"
        assert requests.get(f"{one}/", timeout=10).json() == customer
        found = requests.get(f"{URL}/api/clients", params={"email": body["email"]}, timeout=10)
        assert found.json() == [customer]
        changed = requests.put(one, json={"name": "Benjamin Updated"}, timeout=10).json()
        assert changed == {**customer, "name": "Benjamin Updated"}
        table = platform.ssh(
            "customers-vm", "sudo -iu postgres psql customers_db -c 'TABLE customers;'"
        )
        assert "Benjamin Updated" in table
        assert requests.delete(one, timeout=10).status_code == 200
        assert requests.get(one, timeout=10).status_code == 404
        wait_until(lambda: len(events()) >= 3, 30, "three events")
        told = [(event["type"], event["source"], event["data"]) for event in events()]
    assert told == [
        ("customer.created", "customer-api", customer),
        ("customer.updated", "customer-api", changed),
        ("customer.deleted", "customer-api", changed),
    ]


def test_an_event_of_another_system_is_in_events_queue(platform: Platform) -> None:
    body = {"order_id": 12345, "customer": "John Doe", "total_amount": 250}
    answer = requests.post(f"{URL}/api/event/ecommerce/order/create", json=body, timeout=10)
    assert (answer.status_code, answer.json()["event_data"]) == (201, body)
    one = f"{URL}/api/events/{answer.json()['event_uid']}"
    wait_until(lambda: requests.get(one, timeout=10).json()["delivered_at"], 30, "its delivery")
    wait_until(lambda: platform.waiting("events_queue") > 0, 30, "a message in events_queue")
    assert requests.get(f"{URL}/api/events?delivered=false", timeout=10).json() == []


def test_what_is_wrong_with_a_bill_is_said_field_by_field(platform: Platform) -> None:
    answer = requests.post(f"{URL}/api/billing", json={"number_of_items": 0}, timeout=10)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
