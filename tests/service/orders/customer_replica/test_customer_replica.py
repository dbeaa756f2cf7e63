"""The local copy of the customers, against a real database and the real customers API."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from chassis.errors import UnavailableError, UpstreamError
from chassis.http.client import ServiceClient
from chassis.messaging.delivery import RejectedError
from chassis.messaging.event_handler import EventHandler
from chassis.settings import Upstream
from chassis.storage.database import Database
from orders.consumer import PROCESS
from orders.customer_replica import api as customers_api
from orders.customer_replica.reactions import REACTIONS
from orders.customer_replica.schemas import CustomerData
from orders.customer_replica.table import Entry, email_of, find, insert_if_absent
from orders.settings import Settings
from tests.support.mailing import received, run_command, served
from tests.support.raw_upstream import RawUpstream, answering
from tools.stack.ports import free_port

CREATED, UPDATED, DELETED = "customer.created", "customer.updated", "customer.deleted"


@pytest.fixture
def handler(orders_db: Database) -> EventHandler:
    """What applies the events of customers."""
    return EventHandler(orders_db, PROCESS, REACTIONS)


@pytest.fixture
def client(customers: FlaskClient) -> Iterator[ServiceClient]:
    """A client of the customers API, which is served."""
    port = free_port()
    with served(customers.application, port):
        yield ServiceClient(Upstream("customers-api", "127.0.0.1", port))


def customer(id: int = 1, name: str = "Ben", email: str = "ben@kawa.fr") -> dict[str, Any]:
    """A customer as an event has it."""
    return {"id": id, "name": name, "email": email, "company": None, "phone": None}


def entry(database: Database, customer_id: str = "1") -> Entry | None:
    """What the copy knows."""
    with database.autocommit() as connection:
        return find(connection, customer_id)


def address(database: Database, customer_id: str = "1") -> str | None:
    """The address that the copy knows."""
    with database.autocommit() as connection:
        return email_of(connection, customer_id)


def make_older(database: Database) -> None:
    """Let a minute pass for the rows that are there."""
    with database.autocommit() as connection:
        connection.execute(text("UPDATE customers SET noted_at = noted_at - interval '1 minute'"))


def create(customers: FlaskClient, name: str) -> dict[str, Any]:
    """Create a customer by the API."""
    document = {"name": name, "email": f"{name.lower()}@kawa.fr"}
    created: dict[str, Any] = customers.post("/api/customers", json=document).get_json()
    return created


def test_a_customer_is_known_from_events(handler: EventHandler, orders_db: Database) -> None:
    handler.apply([received(handler, CREATED, customer(), 1)])
    assert address(orders_db) == "ben@kawa.fr"
    handler.apply([received(handler, UPDATED, customer(email="ben@corp.fr"), 2)])
    assert entry(orders_db) == (1, "Ben", "ben@corp.fr", False)


def test_a_deleted_customer_leaves_nothing_but_the_id(
    handler: EventHandler, orders_db: Database
) -> None:
    handler.apply([received(handler, CREATED, customer(), 1)])
    handler.apply([received(handler, DELETED, customer(), 2)])
    assert entry(orders_db) == (1, None, None, True)
    with orders_db.autocommit() as connection:
        assert "ben" not in str(connection.execute(text("SELECT * FROM customers")).all()).lower()


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_outcome_is_the_same_in_any_order_of_events(
    order: tuple[int, ...], handler: EventHandler, orders_db: Database
) -> None:
    told = [
        received(handler, CREATED, customer(email="first@kawa.fr"), 1),
        received(handler, UPDATED, customer(email="second@kawa.fr"), 2),
        received(handler, UPDATED, customer(email="third@kawa.fr"), 3),
        received(handler, UPDATED, customer(email="last@kawa.fr"), 4),
    ]
    for number in order:
        handler.apply([told[number]])
    assert address(orders_db) == "last@kawa.fr"


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_newest_version_stays_in_whatever_order_and_by_whatever_clock(
    order: tuple[int, ...], handler: EventHandler, orders_db: Database
) -> None:
    # the clock of customers was set back after each change
    told = [
        received(handler, CREATED, customer(email="first@kawa.fr") | {"version": 1}, 9),
        received(handler, UPDATED, customer(email="second@kawa.fr") | {"version": 2}, 7),
        received(handler, UPDATED, customer(email="third@kawa.fr") | {"version": 3}, 5),
        received(handler, UPDATED, customer(email="last@kawa.fr") | {"version": 4}, 3),
    ]
    for number in order:
        handler.apply([told[number]])
    assert address(orders_db) == "last@kawa.fr"


def test_events_without_a_version_count_by_time_until_one_has_a_version(
    handler: EventHandler, orders_db: Database
) -> None:
    def apply(email: str, time: int, **version: int) -> str | None:
        handler.apply([received(handler, UPDATED, customer(email=email) | version, time)])
        return address(orders_db)

    assert apply("a@kawa.fr", 5) == "a@kawa.fr"
    assert apply("older@kawa.fr", 4) == "a@kawa.fr"
    assert apply("b@kawa.fr", 6) == "b@kawa.fr"
    # the first with a version, though the clock was set back
    assert apply("c@kawa.fr", 2, version=7) == "c@kawa.fr"
    assert apply("late@kawa.fr", 8) == "c@kawa.fr"
    assert apply("older@kawa.fr", 9, version=6) == "c@kawa.fr"
    assert apply("d@kawa.fr", 1, version=8) == "d@kawa.fr"


def test_a_rebuilt_customer_is_replaced_only_by_newer_events_than_the_last(
    handler: EventHandler, orders_db: Database, client: ServiceClient, customers: FlaskClient
) -> None:
    made = create(customers, "Ben")
    handler.apply([received(handler, CREATED, customer(email="old@kawa.fr") | {"version": 1}, 9)])
    make_older(orders_db)
    customers_api.rebuild(orders_db, client)
    assert address(orders_db) == made["email"]
    handler.apply([received(handler, CREATED, customer(email="old@kawa.fr") | {"version": 1}, 9)])
    assert address(orders_db) == made["email"]
    handler.apply([received(handler, UPDATED, customer(email="new@kawa.fr") | {"version": 2}, 1)])
    assert address(orders_db) == "new@kawa.fr"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_no_late_event_restores_a_deleted_customer(
    order: tuple[int, ...], handler: EventHandler, orders_db: Database
) -> None:
    told = [
        received(handler, CREATED, customer(), 1),
        received(handler, UPDATED, customer(), 2),
        received(handler, DELETED, customer(), 3),
    ]
    for number in order:
        handler.apply([told[number]])
    assert entry(orders_db) == (1, None, None, True)


def test_an_answer_of_the_api_fills_a_gap(orders_db: Database) -> None:
    with orders_db.autocommit() as connection:
        insert_if_absent(connection, CustomerData(**customer()))
    assert address(orders_db) == "ben@kawa.fr"


def test_a_late_answer_of_the_api_neither_undoes_an_event_nor_restores_a_customer(
    handler: EventHandler, orders_db: Database
) -> None:
    handler.apply([received(handler, UPDATED, customer(email="new@kawa.fr"), 1)])
    handler.apply([received(handler, DELETED, customer(2), 1)])
    with orders_db.autocommit() as connection:
        insert_if_absent(connection, CustomerData(**customer(email="old@kawa.fr")))
        insert_if_absent(connection, CustomerData(**customer(2)))
    assert address(orders_db) == "new@kawa.fr"
    assert entry(orders_db, "2") == (2, None, None, True)


def test_an_update_counts_after_an_answer_of_the_api_and_a_creation_does_not(
    handler: EventHandler, orders_db: Database
) -> None:
    with orders_db.autocommit() as connection:
        insert_if_absent(connection, CustomerData(**customer(email="answered@kawa.fr")))
    handler.apply([received(handler, CREATED, customer(email="first@kawa.fr"), 1)])
    assert address(orders_db) == "answered@kawa.fr"
    handler.apply([received(handler, UPDATED, customer(email="next@kawa.fr"), 2)])
    assert address(orders_db) == "next@kawa.fr"


@pytest.mark.parametrize(
    "customer_id", ["", "CLIENT123", "0", "-1", "01", "1 ", "9" * 19, "1" * 30]
)
def test_an_impossible_customer_id_has_no_address(
    customer_id: str, handler: EventHandler, orders_db: Database
) -> None:
    handler.apply([received(handler, CREATED, customer(), 1)])
    assert address(orders_db, customer_id) is None


@pytest.mark.parametrize(
    "data",
    [{}, {"id": "x"}, {"id": 1}, {"id": 1, "name": "a\0b", "email": "a@b.fr"}, {"id": -1}],
)
def test_an_event_of_no_customer_is_refused(data: Any, handler: EventHandler) -> None:
    with pytest.raises(RejectedError):
        received(handler, CREATED, data)


def test_a_rebuild_makes_the_copy_equal_to_the_api(
    customers: FlaskClient,
    client: ServiceClient,
    handler: EventHandler,
    orders_db: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(customers_api, "_PAGE", 2)
    names = ["Ada", "Ben", "Cleo", "Dora", "Emil"]
    ids = [create(customers, name)["id"] for name in names]
    customers.delete(f"/api/customers/{ids[1]}")
    for number in (ids[0], ids[1], 3000):
        handler.apply([received(handler, CREATED, customer(number, "Old", "old@kawa.fr"), 1)])
    make_older(orders_db)
    assert customers_api.rebuild(orders_db, client) == (4, 2)
    found = [entry(orders_db, str(number)) for number in (*ids, 3000)]
    assert found[0] == (ids[0], "Ada", "ada@kawa.fr", False)
    assert found[1] == (ids[1], None, None, True)
    assert [known.email for known in found[2:5] if known] == [
        "cleo@kawa.fr",
        "dora@kawa.fr",
        "emil@kawa.fr",
    ]
    assert found[5] == (3000, None, None, True)
    make_older(orders_db)
    assert customers_api.rebuild(orders_db, client) == (4, 0)


def test_a_rebuild_from_an_empty_list_deletes_all_customers(
    client: ServiceClient, handler: EventHandler, orders_db: Database
) -> None:
    handler.apply([received(handler, CREATED, customer(), 1)])
    make_older(orders_db)
    assert customers_api.rebuild(orders_db, client) == (0, 1)


def test_a_rebuild_undoes_no_concurrent_event(
    customers: FlaskClient, client: ServiceClient, handler: EventHandler, orders_db: Database
) -> None:
    ids = [create(customers, name)["id"] for name in ("Ada", "Ben")]
    changed = customer(ids[0], "Ada", "new@kawa.fr")
    while_it_reads = [(UPDATED, changed), (DELETED, customer(ids[1])), (CREATED, customer(99))]

    class Meanwhile(ServiceClient):
        """A client whose answer is old when it arrives."""

        def pages(self, path: str, **query: str) -> Iterator[list[Any]]:
            answer = list(client.pages(path, **query))
            for number, (type, data) in enumerate(while_it_reads):
                handler.apply([received(handler, type, data, number)])
            yield from answer

    customers_api.rebuild(orders_db, Meanwhile(Upstream("customers-api", "127.0.0.1", 1)))
    assert address(orders_db, str(ids[0])) == "new@kawa.fr"
    assert entry(orders_db, str(ids[1])) == (ids[1], None, None, True)
    assert address(orders_db, "99") == "ben@kawa.fr"


def change_by_api(customers: FlaskClient, id: int, *emails: str) -> None:
    """Change a customer's address by the API, once for each."""
    for email in emails:
        assert customers.put(f"/api/customers/{id}", json={"email": email}).status_code == 200


@pytest.mark.parametrize("is_known", [False, True])
def test_a_rebuilt_customer_is_replaced_by_later_versions_only(
    is_known: bool,
    customers: FlaskClient,
    client: ServiceClient,
    handler: EventHandler,
    orders_db: Database,
) -> None:
    id = create(customers, "Ben")["id"]
    change_by_api(customers, id, "two@kawa.fr", "three@kawa.fr")

    def told(version: int) -> None:
        data = customer(id, email=f"event{version}@kawa.fr") | {"version": version}
        handler.apply([received(handler, UPDATED, data, version)])

    if is_known:
        told(1)
        make_older(orders_db)
    customers_api.rebuild(orders_db, client)
    assert address(orders_db) == "three@kawa.fr"
    # published before the read, and late
    for version in (2, 3):
        told(version)
    assert address(orders_db) == "three@kawa.fr"
    told(4)
    assert address(orders_db) == "event4@kawa.fr"


@pytest.mark.parametrize(
    ("version", "known"), [(1, "new@kawa.fr"), (2, "new@kawa.fr"), (3, "event@kawa.fr")]
)
def test_the_later_version_wins_between_a_rebuild_and_a_concurrent_event(
    version: int,
    known: str,
    customers: FlaskClient,
    client: ServiceClient,
    handler: EventHandler,
    orders_db: Database,
) -> None:
    id = create(customers, "Ben")["id"]
    change_by_api(customers, id, "new@kawa.fr")
    email = "new@kawa.fr" if version == 2 else "event@kawa.fr"
    event = customer(id, email=email) | {"version": version}

    class Meanwhile(ServiceClient):
        """A client before whose answer is used, an event arrives."""

        def pages(self, path: str, **query: str) -> Iterator[list[Any]]:
            answer = list(client.pages(path, **query))
            handler.apply([received(handler, UPDATED, event)])
            yield from answer

    customers_api.rebuild(orders_db, Meanwhile(Upstream("customers-api", "127.0.0.1", 1)))
    assert address(orders_db) == known


def test_a_requested_customer_is_replaced_by_later_versions_only(
    customers: FlaskClient, client: ServiceClient, handler: EventHandler, orders_db: Database
) -> None:
    id = create(customers, "Ben")["id"]
    change_by_api(customers, id, "two@kawa.fr", "three@kawa.fr")
    found = customers_api.ask(client, str(id))
    assert found is not None and found.version == 3
    with orders_db.autocommit() as connection:
        insert_if_absent(connection, found)
    for version, email in ((2, "late@kawa.fr"), (4, "new@kawa.fr")):
        event = customer(id, email=email) | {"version": version}
        handler.apply([received(handler, UPDATED, event)])
        assert address(orders_db) == ("three@kawa.fr" if version == 2 else "new@kawa.fr")


def test_a_rebuild_from_an_api_without_versions_leaves_the_known_one(
    handler: EventHandler, orders_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler.apply([received(handler, UPDATED, customer() | {"version": 5}, 1)])
    make_older(orders_db)
    page = [CustomerData(**customer(email="api@kawa.fr"))]
    monkeypatch.setattr(customers_api, "_pages", lambda _client: iter([page]))
    customers_api.rebuild(orders_db, ServiceClient(Upstream("customers-api", "127.0.0.1", 1)))
    assert address(orders_db) == "api@kawa.fr"
    for version, email in ((5, "api@kawa.fr"), (6, "new@kawa.fr")):
        event = customer(email="new@kawa.fr") | {"version": version}
        handler.apply([received(handler, UPDATED, event, 2)])
        assert address(orders_db) == email


def test_a_rebuild_walks_over_all_pages_that_end_early(
    customers_db: Database, client: ServiceClient, orders_db: Database
) -> None:
    many = """INSERT INTO customers (name, email, company)
        SELECT repeat('😀', 255), n || '@kawa.fr', repeat('😀', 255)
        FROM generate_series(1, 1500) n"""
    with customers_db.autocommit() as connection:
        connection.execute(text(many))
    assert customers_api.rebuild(orders_db, client) == (1500, 0)
    assert address(orders_db, "1500") == "1500@kawa.fr"


@pytest.fixture
def broken() -> Iterator[Callable[[bytes], ServiceClient]]:
    """Make clients of an API that answers with given bytes."""
    servers: list[RawUpstream] = []

    def make(body: bytes) -> ServiceClient:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        servers.append(RawUpstream([answering(head + body)]))
        return ServiceClient(Upstream("customers-api", "127.0.0.1", servers[-1].port))

    yield make
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        b'[{"id": 1}]',
        b'[{"id":2,"name":"","email":""},{"id":1,"name":"","email":""}]',
    ],
)
def test_a_rebuild_from_an_answer_that_is_no_list_of_customers_changes_nothing(
    body: bytes,
    broken: Callable[[bytes], ServiceClient],
    handler: EventHandler,
    orders_db: Database,
) -> None:
    handler.apply([received(handler, CREATED, customer(), 1)])
    make_older(orders_db)
    with pytest.raises(UpstreamError):
        customers_api.rebuild(orders_db, broken(body))
    assert address(orders_db) == "ben@kawa.fr"


def test_one_customer_is_requested(customers: FlaskClient, client: ServiceClient) -> None:
    made = create(customers, "Ada")
    found = customers_api.ask(client, str(made["id"]))
    assert found is not None
    assert found.email == "ada@kawa.fr"
    assert customers_api.ask(client, "99") is None
    assert customers_api.ask(client, "CLIENT123") is None


def test_an_unavailable_api_does_not_make_a_customer_unknown() -> None:
    client = ServiceClient(Upstream("customers-api", "127.0.0.1", free_port()))
    with pytest.raises(UnavailableError):
        customers_api.ask(client, "1")


def test_the_command_rebuilds_the_copy_or_says_why_not(
    customers: FlaskClient, orders_settings: Settings, orders_db: Database, tmp_path: Path
) -> None:
    made = create(customers, "Ada")
    assert "can't be reached" in run_command(orders_settings, tmp_path, "directory", "rebuild")
    with served(customers.application, orders_settings.customers.port):
        said = run_command(orders_settings, tmp_path, "directory", "rebuild")
    assert said == "1 customers; 0 deleted, since they no longer exist\nstatus 0\n"
    assert address(orders_db, str(made["id"])) == "ada@kawa.fr"
