"""`/api/customers`, and `/api/clients`, its other name."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.errors import DeadlockDetected, UniqueViolation
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from werkzeug.test import TestResponse

from chassis.storage.database import Database
from customers import models
from customers.customers import Customers
from tests.support.answers import JSON, NO_IDS, NO_JSON, NO_OBJECT, content, fields, problem, walked
from tests.support.databases import without_outbox
from tests.support.examples import examples
from tests.support.statements import plan_of, statements_of
from tools.stack.waiting import wait_until

CUSTOMERS, CLIENTS = "/api/customers", "/api/clients"
BOTH = pytest.mark.parametrize("path", [CUSTOMERS, CLIENTS])
BEN: dict[str, Any] = {
    "name": "Benjamin",
    "email": "ben@kawa.fr",
    "company": "Kawa Corp",
    "phone": "0601020304",
}
INVALID = [
    ('{"name": ""}', "name"),
    ('{"name": " \\t\\u00a0"}', "name"),
    ('{"name": null}', "name"),
    ('{"name": true}', "name"),
    ('{"name": 5}', "name"),
    ('{"name": ["Ben"]}', "name"),
    ('{"name": {"first": "Ben"}}', "name"),
    ('{"name": "a\\u0000b"}', "name"),
    ('{"name": "\\ud800"}', "name"),
    (json.dumps({"name": "x" * 256}), "name"),
    ('{"email": ""}', "email"),
    ('{"email": null}', "email"),
    ('{"email": true}', "email"),
    ('{"email": 5}', "email"),
    ('{"email": ["ben@kawa.fr"]}', "email"),
    ('{"email": "ben"}', "email"),
    ('{"email": "ben@kawa"}', "email"),
    ('{"email": "ben kawa@kawa.fr"}', "email"),
    ('{"email": "Ben <ben@kawa.fr>"}', "email"),
    ('{"email": "\\"ben\\"@kawa.fr"}', "email"),
    ('{"email": "ben@kawa.fr."}', "email"),
    ('{"email": "b\\u0000en@kawa.fr"}', "email"),
    ('{"email": "b\\ud800en@kawa.fr"}', "email"),
    (json.dumps({"email": "x" * 65 + "@kawa.fr"}), "email"),
    (json.dumps({"email": "ben@" + "x" * 300 + ".fr"}), "email"),
    ('{"company": 5}', "company"),
    ('{"company": false}', "company"),
    ('{"company": ["Kawa"]}', "company"),
    ('{"company": "a\\u0000b"}', "company"),
    ('{"company": "\\udfff"}', "company"),
    (json.dumps({"company": "x" * 256}), "company"),
    ('{"phone": 601020304}', "phone"),
    ('{"phone": 6.5}', "phone"),
    ('{"phone": 1E+1000000}', "phone"),
    ('{"phone": true}', "phone"),
    ('{"phone": ["06"]}', "phone"),
    ('{"phone": "06 01 02 x"}', "phone"),
    ('{"phone": "06\\n"}', "phone"),
    ('{"phone": "06\\u0000"}', "phone"),
    ('{"phone": "\\u0660\\u0661"}', "phone"),
    ('{"phone": "\\ud800"}', "phone"),
    (json.dumps({"phone": "0" * 33}), "phone"),
    ('{"id": 5}', "id"),
    ('{"Name": "Ben"}', "Name"),
    ('{"age": 30}', "age"),
]


def create(customers: FlaskClient, name: str = "Ben", **given: str | None) -> dict[str, Any]:
    """Create a customer, with an email of its own unless one is given."""
    values = {"name": name, "email": f"{uuid4().hex}@kawa.fr", **given}
    response = customers.post(CUSTOMERS, json=values)
    assert response.status_code == 201, response.text
    customer: dict[str, Any] = content(response)
    return customer


def names(response: TestResponse) -> list[str]:
    """The names in a list."""
    assert response.status_code == 200, response.text
    return [customer["name"] for customer in content(response)]


def search(customers: FlaskClient, **query: str) -> list[str]:
    """The names that a search finds."""
    return names(customers.get(f"{CUSTOMERS}?{urlencode(query)}"))


def write(customers: FlaskClient, method: str, data: bytes, kind: str = JSON) -> TestResponse:
    """Create a customer with `data`, or change one that is there."""
    path = CUSTOMERS if method == "POST" else f"{CUSTOMERS}/{create(customers, 'Before')['id']}"
    return customers.open(path, method=method, data=data, content_type=kind)


def announced(database: Database) -> list[tuple[str, str | None]]:
    """The types of the events in the outbox, and what they are about."""
    with database.autocommit() as connection:
        rows = connection.execute(text("SELECT routing_key, aggregate FROM outbox ORDER BY id"))
        return [(row.routing_key, row.aggregate) for row in rows]


def stored(database: Database) -> list[dict[str, Any]]:
    """The rows of the table."""
    with database.autocommit() as connection:
        rows = connection.execute(text("SELECT * FROM customers ORDER BY id")).mappings()
        return [dict(row) for row in rows]


@BOTH
def test_creating_answers_with_the_customer_and_its_address(
    customers: FlaskClient, path: str
) -> None:
    response = customers.post(path, json=BEN)
    assert (response.status_code, response.content_type) == (201, JSON)
    assert response.json == {"id": 1, **BEN, "version": 1}
    assert response.headers["Location"] == f"{path}/1"
    assert customers.get(response.headers["Location"]).json == response.json


@BOTH
def test_company_and_phone_may_be_left_out(customers: FlaskClient, path: str) -> None:
    response = customers.post(path, json={"name": "Ben", "email": "ben@kawa.fr"})
    expected = {"id": 1, "name": "Ben", "email": "ben@kawa.fr", "company": None, "phone": None}
    expected["version"] = 1
    assert (response.status_code, response.json) == (201, expected)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_company_or_phone_is_none(customers: FlaskClient, empty: str | None) -> None:
    created = create(customers, company=empty, phone=empty)
    assert (created["company"], created["phone"]) == (None, None)
    create(customers, company="Kawa", phone="06")
    changed = content(customers.put(f"{CUSTOMERS}/2", json={"company": empty, "phone": empty}))
    assert (changed["company"], changed["phone"]) == (None, None)


def test_the_stored_customer_is_the_answer(customers: FlaskClient, customers_db: Database) -> None:
    given = {
        "name": "  Zoë 😀 <b>\n",
        "email": " Zoë.Kawa+1@KÖLN.de ",
        "company": " Kawa & Söhne ",
        "phone": "(+33) 6.01-02 ",
    }
    expected = {
        "id": 1,
        "name": "Zoë 😀 <b>",
        "email": "Zoë.Kawa+1@köln.de",
        "company": "Kawa & Söhne",
        "phone": "(+33) 6.01-02 ",
        "version": 1,
    }
    assert customers.post(CUSTOMERS, json=given).json == expected
    assert stored(customers_db) == [expected]


def test_every_field_may_be_as_long_as_its_column(customers: FlaskClient) -> None:
    domain = ".".join(["x" * 63, "x" * 63, "x" * 58, "fr"])
    given = {"email": f"{'a' * 64}@{domain}", "company": "é" * 255, "phone": "0" * 32}
    created = create(customers, "😀" * 255, **given)
    assert created == {"id": 1, "name": "😀" * 255, **given, "version": 1}


@BOTH
def test_fields_missing_from_a_change_stay(customers: FlaskClient, path: str) -> None:
    customer = create(customers, **BEN)
    for change in (
        {"name": "Benjamin Updated"},
        {"email": "benjamin@kawa.fr"},
        {"company": "Other"},
        {"phone": "0611223344"},
        {"company": None},
        {"phone": None},
        {"name": "Ben", "company": "Kawa"},
    ):
        customer |= change | {"version": customer["version"] + 1}
        response = customers.put(f"{path}/1", json=change)
        assert (response.status_code, response.json) == (200, customer)
        assert customers.get(f"{path}/1").json == customer


def test_all_fields_can_be_changed_together(customers: FlaskClient) -> None:
    create(customers, **BEN)
    change = {"name": "B", "email": "b@kawa.fr", "company": "K", "phone": "06"}
    assert customers.put(f"{CUSTOMERS}/1", json=change).json == {"id": 1, **change, "version": 2}


def test_a_change_touches_no_other_customer(customers: FlaskClient) -> None:
    other, changed = create(customers, "Other"), create(customers, "Ben")
    customers.put(f"{CUSTOMERS}/{changed['id']}", json={"name": "Zoë"})
    assert customers.get(f"{CUSTOMERS}/{other['id']}").json == other


@BOTH
def test_deleting_answers_with_the_customer_as_it_was(customers: FlaskClient, path: str) -> None:
    customer, other = create(customers, **BEN), create(customers, "Other")
    deleted = customers.delete(f"{path}/1")
    assert (deleted.status_code, deleted.json) == (200, customer)
    assert customers.get(path).json == [other]
    for again in (customers.get(f"{path}/1"), customers.delete(f"{path}/1")):
        assert "customer" in problem(again, 404)["detail"]


def test_an_id_is_never_reused_but_an_email_is(customers: FlaskClient) -> None:
    first = create(customers, **BEN)
    customers.delete(f"{CUSTOMERS}/{first['id']}")
    assert create(customers, **BEN)["id"] > first["id"]


def test_each_change_and_nothing_else_is_announced(
    customers: FlaskClient, customers_db: Database
) -> None:
    create(customers, **BEN)
    customers.get(f"{CUSTOMERS}/1")
    customers.put(f"{CLIENTS}/1", json={"name": "Ben"})
    customers.put(f"{CUSTOMERS}/1", json={"name": "Ben"})
    customers.put(f"{CUSTOMERS}/2", json={"name": "Ben"})
    customers.post(CUSTOMERS, json={**BEN, "email": "BEN@kawa.fr"})
    customers.post(CUSTOMERS, json={**BEN, "phone": 5})
    customers.delete(f"{CUSTOMERS}/1")
    customers.delete(f"{CUSTOMERS}/1")
    types = ["customer.created", "customer.updated", "customer.updated", "customer.deleted"]
    assert announced(customers_db) == [(type, "customer/1") for type in types]


def test_without_its_event_a_change_is_rolled_back(
    customers: FlaskClient, customers_db: Database
) -> None:
    customer = create(customers, **BEN)
    with without_outbox(customers_db):
        responses = [
            customers.post(CUSTOMERS, json={**BEN, "email": "other@kawa.fr"}),
            customers.put(f"{CUSTOMERS}/1", json={"name": "Zoë"}),
            customers.delete(f"{CUSTOMERS}/1"),
        ]
    assert [response.status_code for response in responses] == [503] * 3
    assert stored(customers_db) == [customer]


@pytest.mark.parametrize("email", ["ben@kawa.fr", "BEN@kawa.fr", "bEn@KAWA.FR", " ben@kawa.fr "])
def test_an_email_that_another_customer_has_is_a_409_that_names_it(
    customers: FlaskClient, customers_db: Database, email: str
) -> None:
    ben, other = create(customers, **BEN), create(customers, "Other")
    for path in (CUSTOMERS, CLIENTS):
        posted = customers.post(path, json={"name": "Eve", "email": email})
        put = customers.put(f"{path}/{other['id']}", json={"name": "Eve", "email": email})
        for response in (posted, put):
            assert "email" in problem(response, 409)["detail"]
            assert "errors" not in content(response)
    assert stored(customers_db) == [ben, other]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("rené@kawa.fr", "RENÉ@kawa.fr"),
        ("rené@kawa.fr", "rene\u0301@kawa.fr"),
        ("ben@köln.de", "ben@xn--kln-sna.de"),
        ("ben@köln.de", "BEN@KÖLN.DE"),
    ],
)
def test_two_spellings_of_an_email_are_the_same(
    customers: FlaskClient, first: str, second: str
) -> None:
    create(customers, "First", email=first)
    problem(customers.post(CUSTOMERS, json={"name": "Second", "email": second}), 409)
    assert search(customers, email=second) == ["First"]


def test_a_customer_keeps_its_own_email_in_another_case(customers: FlaskClient) -> None:
    create(customers, **BEN)
    response = customers.put(f"{CUSTOMERS}/1", json={**BEN, "email": "Ben@Kawa.fr"})
    assert (response.status_code, content(response)["email"]) == (200, "Ben@kawa.fr")


def test_a_change_to_a_taken_email_of_a_customer_that_does_not_exist_is_a_404(
    customers: FlaskClient,
) -> None:
    create(customers, **BEN)
    problem(customers.put(f"{CUSTOMERS}/2", json=BEN), 404)


def test_one_of_many_concurrent_creations_gets_the_email(
    customers: FlaskClient, customers_db: Database
) -> None:
    barrier = threading.Barrier(4)

    def post(number: int) -> int:
        email = "race@kawa.fr" if number % 2 else "RACE@kawa.fr"
        client = customers.application.test_client()
        barrier.wait()
        return client.post(CUSTOMERS, json={"name": f"{number}", "email": email}).status_code

    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            assert Counter(pool.map(post, range(4))) == {201: 1, 409: 3}
            [customer] = content(customers.get(CUSTOMERS))
            customers.delete(f"{CUSTOMERS}/{customer['id']}")
    assert len(announced(customers_db)) == 20


def test_one_of_two_customers_that_change_to_one_email_gets_it(
    customers: FlaskClient,
) -> None:
    for name in ("one", "two"):
        create(customers, name)
    barrier = threading.Barrier(2)

    def put(key: int, email: str) -> int:
        client = customers.application.test_client()
        barrier.wait()
        return client.put(f"{CUSTOMERS}/{key}", json={"email": email}).status_code

    with ThreadPoolExecutor(2) as pool:
        for turn in range(10):
            emails = [f"race{turn}@kawa.fr"] * 2
            assert Counter(pool.map(put, [1, 2], emails)) == {200: 1, 409: 1}


def test_customers_that_want_each_others_email_at_once_both_get_a_409(
    customers: FlaskClient, customers_db: Database
) -> None:
    for name in ("a", "b"):
        create(customers, name, email=f"{name}@kawa.fr")
    change = text("UPDATE customers SET email = :email WHERE id = 1")
    with ThreadPoolExecutor(1) as pool, customers_db.transaction() as connection:
        connection.execute(change, {"email": "x@kawa.fr"})
        response = pool.submit(customers.put, f"{CUSTOMERS}/2", json={"email": "a@kawa.fr"})
        wait_until(lambda: waiting(customers_db) == 1, 10, "the other change to wait")
        try:
            connection.execute(change, {"email": "b@kawa.fr"})
        except DBAPIError as error:
            assert isinstance(error.orig, UniqueViolation | DeadlockDetected)
        connection.rollback()
        problem(response.result(10), 409)


def waiting(database: Database) -> int:
    """How many sessions of the database wait for a lock."""
    statement = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with database.autocommit() as connection:
        return int(connection.execute(text(statement)).scalar_one())


def test_only_the_email_index_means_that_an_email_is_taken(
    customers: FlaskClient, customers_db: Database
) -> None:
    create(customers, **BEN)
    with customers_db.autocommit() as connection:
        connection.execute(text("ALTER TABLE customers ALTER id RESTART WITH 1"))
    problem(customers.post(CUSTOMERS, json={**BEN, "email": "other@kawa.fr"}), 500)


@pytest.mark.parametrize("column", ["name", "email", "company", "phone"])
def test_the_schema_itself_refuses_an_empty_text(customers_db: Database, column: str) -> None:
    values = {"name": "Ben", "email": "ben@kawa.fr", column: ""}
    with customers_db.autocommit() as connection, pytest.raises(IntegrityError):
        connection.execute(insert(models.customers).values(**values))


def test_customers_are_listed_in_the_order_of_their_ids(customers: FlaskClient) -> None:
    assert (customers.get(CUSTOMERS).status_code, customers.get(CUSTOMERS).json) == (200, [])
    made = [create(customers, name) for name in ("C", "A", "B")]
    customers.put(f"{CUSTOMERS}/1", json={"name": "D"})
    assert customers.get(CUSTOMERS).json == [{**made[0], "name": "D", "version": 2}, *made[1:]]
    assert customers.get(CLIENTS).json == customers.get(CUSTOMERS).json


@BOTH
def test_a_list_can_be_walked_to_its_end_over_the_links(
    customers: FlaskClient, customers_db: Database, path: str
) -> None:
    rows = [{"name": f"Éa & {n}", "email": f"{n}@kawa.fr"} for n in range(25)]
    with customers_db.autocommit() as connection:
        connection.execute(insert(models.customers), rows)
        connection.execute(insert(models.customers), [{"name": "another", "email": "a@kawa.fr"}])
    found, sizes = [], []
    for response in walked(customers, f"{path}?name=%C3%A9A%20%26&limit=10"):
        found += names(response)
        sizes.append(len(content(response)))
    assert found == [f"Éa & {n}" for n in range(25)]
    assert sizes == [10, 10, 5]


def test_a_page_has_a_hundred_customers_by_default(
    customers: FlaskClient, customers_db: Database
) -> None:
    rows = [{"name": f"{n}", "email": f"{n}@kawa.fr"} for n in range(1001)]
    with customers_db.autocommit() as connection:
        connection.execute(insert(models.customers), rows)
    assert len(content(customers.get(CUSTOMERS))) == 100
    response = customers.get(f"{CUSTOMERS}?limit=1000")
    assert len(content(response)) == 1000
    assert response.headers["Link"].endswith('; rel="next"')


@pytest.mark.parametrize("email", ["ben@kawa.fr", "BEN@KAWA.FR", "Ben@kawa.fr", " ben@kawa.fr"])
def test_an_email_is_found_whole_and_in_any_case(customers: FlaskClient, email: str) -> None:
    for name, address in (("Ben", "ben@kawa.fr"), ("Other", "xben@kawa.fr")):
        create(customers, name, email=address)
    assert search(customers, email=email) == ["Ben"]
    assert search(customers, email=email, name="be") == ["Ben"]
    assert search(customers, email=email, name="zoë") == []
    assert search(customers, email="nobody@kawa.fr") == []


@pytest.mark.parametrize("searched", ["zoë", "ZOË", "oë K", "Kawa", "", "Zoë Kawa"])
def test_a_part_of_a_name_is_found_in_any_case(customers: FlaskClient, searched: str) -> None:
    create(customers, "Zoë Kawa")
    assert search(customers, name=searched) == ["Zoë Kawa"]
    assert search(customers, name=f"{searched}x") == []


def test_a_search_by_name_looks_only_at_names(customers: FlaskClient) -> None:
    create(customers, "Zoë", company="Kawa", email="ben@kawa.fr")
    assert search(customers, name="kawa") == []


SIGNS = st.text("abcAB%_\\/' .*+?[]^$", min_size=1, max_size=8)


@examples(20)
@given(made=st.lists(SIGNS.filter(str.strip), min_size=1, max_size=8), searched=SIGNS)
def test_a_search_finds_exactly_the_names_that_contain_the_text(
    customers: FlaskClient, customers_db: Database, made: list[str], searched: str
) -> None:
    rows = [{"name": name, "email": f"{number}@kawa.fr"} for number, name in enumerate(made)]
    with customers_db.autocommit() as connection:
        connection.execute(text("DELETE FROM customers"))
        connection.execute(insert(models.customers), rows)
    expected = [name for name in made if searched.lower() in name.lower()]
    assert search(customers, name=searched) == expected


SEARCHES: list[tuple[dict[str, Any], str]] = [
    ({"email": "N5@kawa.fr", "name": None}, "customers_email_unique"),
    ({"email": None, "name": "ÉCOLE"}, "customers_name_trigrams"),
    ({"email": None, "name": None}, "customers_pkey"),
]


def test_a_search_among_many_uses_its_index(customers_db: Database) -> None:
    rows = [{"name": f"{n:05} " * 10, "email": f"n{n}@kawa.fr"} for n in range(20_000)]
    with customers_db.autocommit() as connection:
        connection.execute(
            insert(models.customers), [*rows, {"name": "L'école", "email": "e@kawa.fr"}]
        )
        # VACUUM, since entries not merged into the index yet count against it
        connection.execute(text("VACUUM ANALYZE customers"))
        for search, index in SEARCHES:
            with statements_of(connection) as sent:
                Customers.find(connection, **search, after=9, limit=11)
            [statement] = sent
            assert index in plan_of(connection, statement), search


@pytest.mark.parametrize("path", [CUSTOMERS, CLIENTS])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=abc", "limit"),
        ("limit=", "limit"),
        ("after=0", "after"),
        ("after=abc", "after"),
        ("after=9223372036854775808", "after"),
        ("name=%00", "name"),
        (f"name={'x' * 256}", "name"),
        ("email=ben", "email"),
        ("email=", "email"),
        ("email=ben+tag@kawa.fr", "email"),
        ("email=ben@kawa.fr&email=ben@kawa.fr", "email"),
        ("name=a&name=b", "name"),
        ("phone=06", "phone"),
        ("Email=ben@kawa.fr", "Email"),
    ],
)
def test_a_query_parameter_that_is_wrong_unknown_or_repeated_is_named(
    customers: FlaskClient, path: str, query: str, field: str
) -> None:
    assert fields(customers.get(f"{path}?{query}")) == [field]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("body", "field"), INVALID, ids=[f"{body:.40}" for body, _ in INVALID])
def test_errors_of_a_customer_are_named_by_field(
    customers: FlaskClient, customers_db: Database, method: str, body: str, field: str
) -> None:
    needed = "" if method == "PUT" else '"name": "Eve", "email": "eve@kawa.fr", '
    before = json.loads(body.encode("utf-8", "ignore")).keys()
    if method == "POST" and before & {"name", "email"}:
        needed = '"email": "eve@kawa.fr", ' if "name" in before else '"name": "Eve", '
    response = write(customers, method, f"{{{needed}{body[1:]}".encode())
    assert fields(response) == [field]
    assert [row["name"] for row in stored(customers_db)] == ["Before"] * (method == "PUT")
    assert len(announced(customers_db)) == (method == "PUT")


@pytest.mark.parametrize("missing", ["name", "email"])
def test_name_and_email_are_required(customers: FlaskClient, missing: str) -> None:
    given = {name: value for name, value in BEN.items() if name != missing}
    assert fields(customers.post(CUSTOMERS, json=given)) == [missing]


def test_all_errors_are_reported_at_once(customers: FlaskClient) -> None:
    response = customers.post(CUSTOMERS, json={"email": "ben", "company": 5, "phone": 6, "age": 7})
    assert sorted(fields(response)) == ["age", "company", "email", "name", "phone"]


def test_the_detail_describes_what_is_wrong_with_an_email(customers: FlaskClient) -> None:
    [fault] = problem(
        customers.post(CUSTOMERS, json={"name": "Ben", "email": "ben@kawa.fr."}), 422
    )["errors"]
    assert fault["detail"] == (
        "must be an email address, like ben@kawa.fr; "
        "what is behind its @ is a domain that mail can be sent to"
    )


@pytest.mark.parametrize("body", ["{}"])
def test_a_change_of_nothing_is_refused(customers: FlaskClient, body: str) -> None:
    assert fields(write(customers, "PUT", body.encode())) == [""]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", NO_JSON)
def test_a_body_that_is_not_json_is_a_400(customers: FlaskClient, method: str, body: str) -> None:
    problem(write(customers, method, NO_JSON[body]), 400)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", NO_OBJECT)
def test_json_that_is_no_object_is_a_422(customers: FlaskClient, method: str, body: str) -> None:
    assert fields(write(customers, method, body.encode())) == [""]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data"])
def test_another_content_type_is_a_415(customers: FlaskClient, method: str, kind: str) -> None:
    problem(write(customers, method, json.dumps(BEN).encode(), kind), 415)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_over_one_mebibyte_is_a_413(customers: FlaskClient, method: str) -> None:
    problem(write(customers, method, b'{"name": "' + b"x" * 1024 * 1024 + b'"}'), 413)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("key", NO_IDS)
def test_an_id_that_is_no_positive_64_bit_integer_is_refused(
    customers: FlaskClient, method: str, key: str
) -> None:
    problem(customers.open(f"{CUSTOMERS}/{NO_IDS[key]}", method=method, json=BEN), 404, 422)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("key", [1, 2**31, 2**63 - 1])
def test_a_customer_that_does_not_exist_is_a_404(
    customers: FlaskClient, method: str, key: int
) -> None:
    response = customers.open(f"{CUSTOMERS}/{key}", method=method, json=BEN)
    assert str(key) in problem(response, 404)["detail"]


@BOTH
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("below", "methods", "allowed"),
    [
        ("", ["PUT", "PATCH", "DELETE", "BREW"], "GET HEAD OPTIONS POST"),
        ("/1", ["POST", "PATCH", "BREW"], "GET HEAD OPTIONS PUT DELETE"),
    ],
)
def test_a_method_that_does_not_exist_is_a_405_with_allow(
    customers: FlaskClient, path: str, below: str, methods: list[str], allowed: str, slash: str
) -> None:
    for method in methods:
        response = customers.open(f"{path}{below}{slash}", method=method, json=BEN)
        problem(response, 405)
        assert set(response.headers["Allow"].split(", ")) == set(allowed.split())


@BOTH
def test_every_route_answers_with_a_trailing_slash_too(customers: FlaskClient, path: str) -> None:
    created = customers.post(f"{path}/", json=BEN)
    assert (created.status_code, created.headers["Location"]) == (201, f"{path}/1")
    assert customers.get(f"{path}/").json == [created.json]
    assert customers.get(f"{path}/1/").json == created.json
    changed = customers.put(f"{path}/1/", json={"name": "Zoë"})
    assert customers.delete(f"{path}/1/").json == changed.json


def test_a_path_below_a_customer_is_a_404(customers: FlaskClient) -> None:
    create(customers)
    for path in (f"{CUSTOMERS}/1/orders", f"{CUSTOMERS}//1", f"{CUSTOMERS}x", "/api/client"):
        problem(customers.get(path), 404)


def test_with_the_outbox_the_process_is_ready_without_the_broker(customers: FlaskClient) -> None:
    response = customers.get("/ready")
    assert (response.status_code, content(response)["process"]) == (200, "customers-api")
    assert set(content(response)["checks"]) == {"customers_db"}
