"""The README's walk, status by status."""

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


def test_what_is_wrong_with_a_bill_is_said_field_by_field(platform: Platform) -> None:
    answer = requests.post(f"{URL}/api/billing", json={"number_of_items": 0}, timeout=10)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
