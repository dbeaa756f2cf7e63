"""The events of customers on the wire: by the outbox and strictly, the broker there and away."""

import json
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pika
import pytest
from flask.testing import FlaskClient
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text
from werkzeug.test import TestResponse

from chassis.messaging import declarations
from chassis.messaging.publisher import Publisher
from chassis.settings import BrokerSettings, DatabaseSettings, EventSettings
from chassis.storage.database import Database
from customers import relay as customers_relay
from customers.app import create_app, create_publisher
from customers.events import EXCHANGE
from customers.settings import Settings
from tests.support.amqp import connect
from tests.support.answers import content, problem
from tests.support.at_work import Worker, startable
from tests.support.outages import frozen, stopped
from tests.support.process import Process, environment
from tests.support.settings import SERVER, port
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.waiting import wait_until

CUSTOMERS = "/api/customers"
QUEUE = "debug-customer-events"
REPLICA = "customer_replica_inbox"
BEN: dict[str, Any] = {
    "name": "Benjamin",
    "email": "ben@kawa.fr",
    "company": "Kawa Corp",
    "phone": "0601020304",
}
CREATED, UPDATED, DELETED = "customer.created", "customer.updated", "customer.deleted"
SECONDS = 120.0  # a process starts slowly on a busy machine


@pytest.fixture
def configured(
    customers_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    broker_settings: BrokerSettings,
) -> Settings:
    """Customers' configuration on the tests' servers, strict."""
    strict = EventSettings(events_strict=True, event_publish_timeout_seconds=20)
    database = database_settings("customers")
    return Settings(SERVER, port(), port(), database, broker_settings, events=strict)


@contextmanager
def channel_of(settings: BrokerSettings) -> Iterator[BlockingChannel]:
    """Lend a channel beside the service's."""
    with connect(settings) as connection:
        yield connection.channel()


@pytest.fixture
def bound(broker_settings: BrokerSettings) -> Iterator[None]:
    """A queue that is bound to the exchange, empty."""
    with channel_of(broker_settings) as channel:
        channel.exchange_declare(EXCHANGE, "fanout", durable=True)
        channel.queue_declare(QUEUE, durable=True, arguments=declarations.QUORUM)
        channel.queue_bind(QUEUE, EXCHANGE)
        channel.queue_purge(QUEUE)
    yield
    with channel_of(broker_settings) as channel:
        channel.queue_delete(QUEUE)


class Taken(list[dict[str, Any]]):
    """The events taken from the queue so far, in the order in which they came."""

    def __init__(self, settings: BrokerSettings) -> None:
        super().__init__()
        self._settings = settings
        self.properties: list[pika.BasicProperties] = []

    def of(self, customer_id: int) -> list[dict[str, Any]]:
        """Those of one customer."""
        return [event for event in self if event["data"]["id"] == customer_id]

    def types(self) -> list[str]:
        """Their types."""
        return [event["type"] for event in self]

    def take(self) -> None:
        """Take what is there now."""
        with channel_of(self._settings) as channel:
            while True:
                method, properties, body = channel.basic_get(QUEUE, auto_ack=True)
                if method is None or properties is None or body is None:
                    return
                self.append(json.loads(body))
                self.properties.append(properties)

    def wait_for(self, number: int) -> None:
        """Wait until so many different events have come."""

        def have_come() -> bool:
            self.take()
            return len({event["id"] for event in self}) >= number

        wait_until(have_come, SECONDS, f"{number} events")
        assert len({event["id"] for event in self}) == number


@pytest.fixture
def taken(broker_settings: BrokerSettings, bound: None) -> Taken:
    """What the bound queue has had."""
    return Taken(broker_settings)


@pytest.fixture
def relay(configured: Settings, bound: None) -> Iterator[Worker]:
    """customers-relay in a thread, not started yet."""
    with startable(partial(customers_relay.run, configured)) as lent:
        yield lent


@pytest.fixture
def relay_process(configured: Settings, tmp_path: Path, bound: None) -> Iterator[Process]:
    """customers-relay, not started yet."""
    port = configured.relay_port.port
    variables = environment("customers", configured, tmp_path, CUSTOMERS_RELAY_PORT=port)
    process = Process("customers", "relay", variables, tmp_path, port)
    yield process
    process.end()


class Api(Process):
    """customers-api, as it is served."""

    def __init__(self, settings: Settings, home: Path, **more: str) -> None:
        port = settings.port.port
        variables = environment("customers", settings, home, CUSTOMERS_API_PORT=port, **more)
        super().__init__("customers", "serve", variables, home, port)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        super().start()
        wait_until(lambda: self.request("GET", "/live") is not None, SECONDS, "customers-api")


@pytest.fixture
def api(configured: Settings, tmp_path: Path, bound: None) -> Iterator[Callable[..., Api]]:
    """Make a customers-api with these variables, not started yet."""
    made: list[Api] = []

    def make(**variables: str) -> Api:
        made.append(Api(configured, tmp_path, **variables))
        return made[-1]

    yield make
    for process in made:
        process.end()


@pytest.fixture
def publisher(configured: Settings, bound: None) -> Iterator[Publisher]:
    """The publisher of a strict API, connected."""
    publisher = create_publisher(configured, "test customers")
    assert publisher.wait_until_ready(SECONDS)
    yield publisher
    publisher.close()


@pytest.fixture
def strict(configured: Settings, publisher: Publisher) -> FlaskClient:
    """A client of a strict customers-api."""
    return create_app(configured, publisher).test_client()


@pytest.fixture
def hasty(configured: Settings, bound: None) -> Iterator[FlaskClient]:
    """A client of a strict customers-api that gives a frozen broker up soon."""
    events = EventSettings(events_strict=True, event_publish_timeout_seconds=2)
    settings = replace(configured, events=events)
    with closing(create_publisher(settings, "hasty customers")) as publisher:
        assert publisher.wait_until_ready(SECONDS)
        yield create_app(settings, publisher).test_client()


def create(client: FlaskClient, name: str = "Ben") -> int:
    """Create a customer and return its id."""
    response = client.post(CUSTOMERS, json={"name": name, "email": f"{name}@kawa.fr"})
    assert response.status_code == 201, response.text
    return int(content(response)["id"])


def rows(database: Database, table: str) -> list[dict[str, Any]]:
    """What is in a table."""
    with database.autocommit() as connection:
        found = connection.execute(text(f"SELECT * FROM {table} ORDER BY id")).mappings()
        return [dict(row) for row in found]


def unsent(database: Database) -> int:
    """How many events wait in the outbox."""
    return sum(row["sent_at"] is None for row in rows(database, "outbox"))


def test_each_change_is_an_event_with_the_customer_as_it_is_then(
    customers: FlaskClient, relay: Worker, taken: Taken
) -> None:
    relay.start()
    created = content(customers.post(CUSTOMERS, json=BEN))
    updated = content(customers.put("/api/clients/1", json={"name": "Zoë 😀", "phone": None}))
    deleted = content(customers.delete(f"{CUSTOMERS}/1"))
    taken.wait_for(3)
    assert taken.types() == [CREATED, UPDATED, DELETED]
    assert [event["data"] for event in taken] == [created, updated, {**deleted, "version": 3}]
    assert created == {"id": 1, **BEN, "version": 1}
    assert deleted == updated == {**created, "name": "Zoë 😀", "phone": None, "version": 2}


def test_an_event_is_a_cloudevent_that_carries_the_requests_ids(
    customers: FlaskClient, relay: Worker, taken: Taken
) -> None:
    relay.start()
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = {"X-Request-ID": "my-request", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    customers.post(CUSTOMERS, json=BEN, headers=sent)
    taken.wait_for(1)
    [event], [properties] = taken, taken.properties
    assert set(event) == {
        *("specversion", "id", "type", "source", "time", "datacontenttype", "data")
    }
    assert (event["specversion"], event["datacontenttype"]) == ("1.0", "application/json")
    assert (event["type"], event["source"]) == (CREATED, "customer-api")
    assert set(event["data"]) == {"id", "email", "name", "company", "phone", "version"}
    assert str(UUID(event["id"])) == event["id"] == properties.message_id
    assert datetime.fromisoformat(event["time"].replace("Z", "+00:00")).tzinfo is not None
    assert properties.content_type == "application/cloudevents+json"
    assert properties.delivery_mode == 2
    assert properties.headers is not None
    assert properties.headers["X-Request-ID"] == "my-request"
    assert properties.headers["traceparent"].startswith(f"00-{trace}-")


def test_the_relay_declares_a_durable_fanout_exchange(
    relay: Worker, broker_settings: BrokerSettings
) -> None:
    with channel_of(broker_settings) as channel:
        channel.exchange_delete("customer_events")
    relay.start()

    def is_there() -> bool:
        with channel_of(broker_settings) as channel:
            try:
                channel.exchange_declare("customer_events", passive=True)
            except pika.exceptions.ChannelClosedByBroker:
                return False
            return True

    wait_until(is_there, SECONDS, "the exchange")
    with channel_of(broker_settings) as channel:
        channel.exchange_declare("customer_events", "fanout", durable=True)


def test_an_event_without_a_bound_queue_counts_as_delivered(
    customers: FlaskClient,
    customers_db: Database,
    relay: Worker,
    broker_settings: BrokerSettings,
) -> None:
    with channel_of(broker_settings) as channel:
        channel.queue_unbind(QUEUE, EXCHANGE)
    relay.start()
    create(customers)
    wait_until(lambda: not unsent(customers_db), SECONDS, "an empty outbox")


def test_orders_gets_the_next_event_even_of_a_deleted_exchange(
    customers: FlaskClient, relay: Worker, broker_settings: BrokerSettings, bound: None
) -> None:
    relay.start()
    with channel_of(broker_settings) as channel:
        channel.queue_declare(REPLICA, durable=True, arguments=declarations.QUORUM)
        channel.queue_purge(REPLICA)
        create(customers, "Before")
        wait_until(lambda: _depth(channel, REPLICA) == 1, SECONDS, "the first event")
        channel.exchange_delete(EXCHANGE)
        create(customers, "After")
        wait_until(lambda: _depth(channel, REPLICA) >= 2, SECONDS, "the second event")
        channel.queue_purge(REPLICA)


def _depth(channel: BlockingChannel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def change_on(client: FlaskClient, name: str, changes: int) -> int:
    """Create a customer, change it so many times, delete it; return its id."""
    customer_id = create(client, name)
    for number in range(changes):
        response = client.put(f"{CUSTOMERS}/{customer_id}", json={"name": f"{number}"})
        assert response.status_code == 200, response.text
    assert client.delete(f"{CUSTOMERS}/{customer_id}").status_code == 200
    return customer_id


def change_at_once(client: FlaskClient, threads: int, changes: int) -> Sequence[int]:
    """Have several customers created, changed and deleted at the same time; return their ids."""
    app = client.application
    with ThreadPoolExecutor(threads) as pool:
        arguments = [(app.test_client(), f"n{number}", changes) for number in range(threads)]
        return list(pool.map(lambda given: change_on(*given), arguments))


def first_arrivals(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what came a second time."""
    return list({event["id"]: event for event in reversed(events)}.values())[::-1]


def assert_in_order(taken: Taken, ids: Sequence[int], changes: int) -> None:
    """Check that each customer's events came in the order of its changes."""
    by_customer = defaultdict(list)
    for event in first_arrivals(taken):
        by_customer[event["data"]["id"]].append(event)
    assert sorted(by_customer) == sorted(ids)
    for events in by_customer.values():
        assert [event["type"] for event in events] == [CREATED, *[UPDATED] * changes, DELETED]
        updates = [event["data"]["name"] for event in events[1:-1]]
        assert updates == [f"{number}" for number in range(changes)]


def test_events_of_one_customer_come_in_the_order_of_its_changes(
    customers: FlaskClient, relay: Worker, taken: Taken
) -> None:
    relay.start()
    ids = change_at_once(customers, threads=4, changes=20)
    taken.wait_for(4 * 22)
    assert_in_order(taken, ids, 20)


def test_the_last_event_of_concurrent_changes_has_the_stored_customer(
    customers: FlaskClient, customers_db: Database, relay: Worker, taken: Taken
) -> None:
    relay.start()
    customer_id = create(customers)
    app = customers.application

    def put(name: int) -> int:
        change = {"name": f"{name}"}
        return app.test_client().put(f"{CUSTOMERS}/{customer_id}", json=change).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(put, range(40))) == {200}
    taken.wait_for(41)
    assert taken[-1]["data"] == rows(customers_db, "customers")[0]


def test_without_the_broker_changes_succeed_and_their_events_are_published_later(
    customers: FlaskClient,
    relay: Worker,
    taken: Taken,
    rabbitmq: RabbitMQ,
    caplog: pytest.LogCaptureFixture,
) -> None:
    relay.start()
    before = create(customers, "before")
    taken.wait_for(1)
    with stopped(rabbitmq):
        ids = change_at_once(customers, threads=4, changes=20)
        wait_until(
            lambda: any("broker" in record.getMessage() for record in caplog.records),
            SECONDS,
            "a line in the relay's log",
        )
    taken.wait_for(1 + 4 * 22)
    del taken[: len(taken.of(before))]
    assert_in_order(taken, ids, 20)


def test_no_event_is_lost_when_the_relay_is_killed_again_and_again(
    customers: FlaskClient, customers_db: Database, relay_process: Process, taken: Taken
) -> None:
    relay = relay_process
    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change_at_once, customers, threads=4, changes=100)
        while not changing.done():
            relay.start()
            sent = len(rows(customers_db, "outbox")) - unsent(customers_db)
            wait_until(
                lambda: (
                    len(rows(customers_db, "outbox")) - unsent(customers_db) > sent  # noqa: B023
                    or changing.done()
                ),
                SECONDS,
                "the relay to relay",
            )
            relay.end(signal.SIGKILL)
    relay.start()
    taken.wait_for(4 * 102)
    assert_in_order(taken, changing.result(), 100)


def test_a_killed_api_leaves_as_many_events_as_changes(
    api: Callable[..., Api], customers_db: Database, relay: Worker, taken: Taken
) -> None:
    relay.start()
    served = api()
    numbers = count()
    done = threading.Event()

    def go_on() -> None:
        while not done.is_set():
            email = f"n{next(numbers)}@kawa.fr"
            served.request("POST", CUSTOMERS, {"name": "Ben", "email": email})

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(go_on)
        try:
            for _ in range(2):
                before = len(rows(customers_db, "customers"))
                served.start()
                wait_until(
                    lambda: len(rows(customers_db, "customers")) > before + 20,  # noqa: B023
                    SECONDS,
                    "customers to be created",
                )
                served.end(signal.SIGKILL)
        finally:
            done.set()
    # a worker outlives its master for a moment, and what it has begun is done
    wait_until(lambda: served.request("GET", "/live") is None, SECONDS, "the workers to end")

    def all_are_told_of_once() -> bool:
        taken.take()
        told = sorted(event["data"]["id"] for event in first_arrivals(taken))
        return told == [row["id"] for row in rows(customers_db, "customers")]

    wait_until(all_are_told_of_once, SECONDS, "an event for each customer")


@pytest.mark.parametrize("strict", ["true", "false"])
def test_the_environment_says_whether_a_process_is_strict(
    api: Callable[..., Api], customers_db: Database, taken: Taken, strict: str
) -> None:
    served = api(EVENTS_STRICT=strict, EVENT_PUBLISH_TIMEOUT_SECONDS="10")
    served.start()
    health: list[Any] = []

    def is_ready() -> bool:
        response = served.request("GET", "/ready")
        health[:] = [response.json()] if response is not None else []
        return response is not None and response.status_code == 200

    wait_until(is_ready, SECONDS, "customers-api to be ready")
    assert ("rabbitmq" in health[0]["checks"]) == (strict == "true")
    created = served.request("POST", CUSTOMERS, BEN)
    assert created is not None and created.status_code == 201
    taken.wait_for(1 if strict == "true" else 0)
    assert unsent(customers_db) == (0 if strict == "true" else 1)


def test_a_strict_change_is_on_the_wire_when_it_is_answered(
    strict: FlaskClient, customers_db: Database, taken: Taken
) -> None:
    for number, (method, path) in enumerate(
        [("POST", CUSTOMERS), ("PUT", f"{CUSTOMERS}/1"), ("DELETE", f"{CUSTOMERS}/1")]
    ):
        response = strict.open(path, method=method, json=BEN)
        assert response.status_code in (200, 201)
        taken.wait_for(number + 1)
        assert taken[-1]["data"] == {**content(response), "version": number + 1}
    assert taken.types() == [CREATED, UPDATED, DELETED]
    assert rows(customers_db, "outbox") == []


def test_strict_events_of_one_customer_come_in_the_order_of_its_changes(
    strict: FlaskClient, taken: Taken
) -> None:
    ids = change_at_once(strict, threads=4, changes=20)
    taken.wait_for(4 * 22)
    assert_in_order(taken, ids, 20)


def test_a_strict_change_that_is_refused_publishes_nothing(
    strict: FlaskClient, taken: Taken
) -> None:
    create(strict, "Ben")
    create(strict, "Eve")
    responses = [
        strict.post(CUSTOMERS, json={"name": "Ben", "email": "BEN@kawa.fr"}),
        strict.put(f"{CUSTOMERS}/2", json={"email": "BEN@kawa.fr"}),
        strict.put(f"{CUSTOMERS}/3", json={"name": "Ben"}),
        strict.delete(f"{CUSTOMERS}/3"),
        strict.put(f"{CUSTOMERS}/1", json={"name": ""}),
    ]
    assert [response.status_code for response in responses] == [409, 409, 404, 404, 422]
    create(strict, "Last")
    taken.wait_for(3)
    assert taken.types() == [CREATED] * 3


def test_in_strict_mode_too_an_event_without_a_queue_counts_as_delivered(
    strict: FlaskClient, broker_settings: BrokerSettings
) -> None:
    with channel_of(broker_settings) as channel:
        channel.queue_unbind(QUEUE, EXCHANGE)
    create(strict)


def refused(response: TestResponse, *causes: str) -> dict[str, Any]:
    """Check that a change was refused since its event is not safe."""
    document = problem(response, 503)
    assert int(response.headers["Retry-After"]) >= 1
    assert document["cause"] in causes
    assert document["detail"].startswith("Nothing was changed: ")
    return document


def try_all(client: FlaskClient) -> list[TestResponse]:
    """Try each kind of change."""
    return [
        client.post(CUSTOMERS, json={"name": "Eve", "email": "eve@kawa.fr"}),
        client.put(f"{CUSTOMERS}/1", json={"name": "Zoë"}),
        client.delete(f"{CUSTOMERS}/1"),
    ]


def works_again(client: FlaskClient) -> None:
    """Wait until changes are accepted."""
    change = {"name": "Zoë"}
    wait_until(
        lambda: client.put(f"{CUSTOMERS}/1", json=change).status_code == 200,
        SECONDS,
        "changes to be accepted",
    )


def test_strict_with_the_broker_stopped_no_change_counts_until_it_is_back(
    strict: FlaskClient, customers_db: Database, taken: Taken, rabbitmq: RabbitMQ
) -> None:
    create(strict)
    before = rows(customers_db, "customers")
    with stopped(rabbitmq):
        for response in try_all(strict):
            refused(response, "broker_unavailable", "broker_timeout")
        assert rows(customers_db, "customers") == before
        assert rows(customers_db, "outbox") == []
        assert {**content(strict.get(f"{CUSTOMERS}/1")), "version": 1} == before[0]
        problem(strict.post(CUSTOMERS, json={"name": "Ben", "email": "BEN@kawa.fr"}), 409)
        problem(strict.put(f"{CUSTOMERS}/9", json={"name": "Ben"}), 404)
        problem(strict.put(f"{CUSTOMERS}/1", json={"phone": 6}), 422)
    works_again(strict)
    taken.take()
    # the broker may have had an event whose confirm came too late
    first, *others = taken.types()
    assert (first, set(others)) == (CREATED, {UPDATED})


def test_strict_with_the_broker_frozen_no_change_counts_until_it_is_back(
    strict: FlaskClient, hasty: FlaskClient, customers_db: Database, rabbitmq: RabbitMQ
) -> None:
    create(strict)
    before = rows(customers_db, "customers")
    with frozen(rabbitmq):
        first, *others = try_all(hasty)
        refused(first, "broker_timeout")
        for response in others:
            refused(response, "broker_unavailable")
        assert rows(customers_db, "customers") == before
    works_again(hasty)


def test_strict_with_the_broker_frozen_changes_at_once_are_all_refused(
    strict: FlaskClient, hasty: FlaskClient, customers_db: Database, rabbitmq: RabbitMQ
) -> None:
    create(strict)
    with frozen(rabbitmq), ThreadPoolExecutor(4) as pool:
        clients = [hasty.application.test_client() for _ in range(4)]
        for responses in pool.map(try_all, clients):
            for response in responses:
                refused(response, "broker_timeout", "broker_unavailable")
    assert len(rows(customers_db, "customers")) == 1
    works_again(hasty)


def test_strict_a_lost_exchange_refuses_changes_until_it_is_made_again(
    strict: FlaskClient, broker_settings: BrokerSettings, customers_db: Database
) -> None:
    create(strict)
    with channel_of(broker_settings) as channel:
        channel.exchange_delete(EXCHANGE)
    refused(strict.put(f"{CUSTOMERS}/1", json={"name": "Eve"}), "broker_unavailable")
    assert rows(customers_db, "customers")[0]["name"] == "Ben"
    works_again(strict)


def test_strict_changes_wait_for_older_events_of_the_same_customer(
    customers: FlaskClient,
    strict: FlaskClient,
    customers_db: Database,
    relay: Worker,
    taken: Taken,
) -> None:
    create(customers)
    before = rows(customers_db, "customers")
    for response in try_all(strict)[1:]:
        assert "customer/1" in refused(response, "older_events_wait")["detail"]
    assert rows(customers_db, "customers")[:1] == before
    relay.start()
    works_again(strict)
    taken.wait_for(3)
    assert [event["type"] for event in taken.of(1)] == [CREATED, UPDATED]


def test_in_strict_mode_the_process_is_ready_only_with_the_broker(
    strict: FlaskClient, publisher: Publisher, rabbitmq: RabbitMQ
) -> None:
    response = strict.get("/ready")
    assert response.status_code == 200
    assert set(content(response)["checks"]) == {"customers_db", "rabbitmq"}
    with stopped(rabbitmq):
        wait_until(lambda: not publisher.is_ready(), SECONDS, "the loss to be noticed")
        response = strict.get("/ready")
        assert (response.status_code, content(response)["status"]) == (503, "unready")
        assert content(response)["checks"]["rabbitmq"]["status"] == "down"
        assert content(response)["checks"]["customers_db"]["status"] == "up"
    wait_until(lambda: strict.get("/ready").status_code == 200, SECONDS, "readiness")
