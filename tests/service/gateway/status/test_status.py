"""The gateway's watch: what it sees, and what it does not wait for."""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import pika
import pytest
from flask.testing import FlaskClient
from pika.exceptions import AMQPError

from billing import bills
from billing.app import create_app as create_billing
from billing.settings import Settings as BillingSettings
from chassis.http import app as web
from chassis.http import caller
from chassis.messaging import broker, declarations
from chassis.messaging.consumer import Consumer
from chassis.messaging.declarations import Queue
from chassis.messaging.delivery import Delivery
from chassis.messaging.publisher import Publisher
from chassis.messaging.subscription import IN_FLIGHT
from chassis.outbox.outbox_metrics import OUTBOX_BACKLOG, OUTBOX_LAG
from chassis.settings import BrokerSettings, DatabaseSettings, PortSettings, Upstream, read
from chassis.storage.database import Database
from gateway.app import create_app
from gateway.auth import scopes, tokens
from gateway.settings import AuthSettings, Settings
from gateway.status import document, probe, probes
from gateway.status import watcher as watch_module
from gateway.status.platform import Machine, Process
from gateway.status.queues import QueueProbe
from gateway.status.watcher import Watcher
from orders.app import create_app as create_orders
from orders.settings import Settings as OrdersSettings
from tests.support.at_work import at_work
from tests.support.outages import frozen, queues_stopped, stopped
from tests.support.raw_upstream import OK, RawUpstream, answering, silent
from tests.support.settings import NOWHERE, SERVER
from tests.support.watched import (
    Needed,
    Plant,
    Server,
    gauge,
    machine,
    nobody,
    unreachable,
    watching,
)
from tools.stack.ports import free_port
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.waiting import wait_until

QUEUE, DEAD = "watched_queue", "watched_queue.dlq"
BILL = {"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the watch wait for what is slow and not away; or not, as long as it is told."""

    def wait(seconds: float) -> None:
        monkeypatch.setattr(probe, "SECONDS", seconds)
        # each task ends by itself; a round that is cut off tells less
        monkeypatch.setattr(probes, "SECONDS", seconds + 20)

    monkeypatch.setattr(watch_module, "FIRST_SECONDS", 60)
    wait(20)
    return wait


@pytest.fixture
def plant() -> Iterator[Plant]:
    """A platform without a broker."""
    plant = Plant(NOWHERE.model_copy(update={"port": free_port()}))
    yield plant
    plant.close()


@pytest.fixture
def with_broker(broker_settings: BrokerSettings) -> Iterator[Plant]:
    """A platform with one."""
    plant = Plant(broker_settings)
    yield plant
    plant.close()


@pytest.fixture
def hung() -> Iterator[RawUpstream]:
    """A process that accepts connections and requests, and never answers."""
    server = RawUpstream([lambda _connection: None])
    yield server
    server.close()


def test_a_process_that_is_ready_is_shown_with_its_checks_and_its_time(plant: Plant) -> None:
    assert plant.machine()["status"] == "up"
    assert plant.machine()["database"] == {"name": "movies_db", "status": "up"}
    shown = plant.process("inventory-api")
    assert (shown["status"], shown["port"], shown["detail"]) == ("ready", plant.api.port, None)
    assert shown["milliseconds"] > 0
    assert shown["checks"]["movies_db"]["status"] == "up"


def test_a_process_that_is_not_ready_says_why(plant: Plant) -> None:
    plant.database.failure = "refused"
    shown = plant.process("inventory-api")
    assert (shown["status"], shown["checks"]["movies_db"]["detail"]) == ("unready", "refused")
    assert plant.machine()["database"]["status"] == "down"
    plant.database.failure = ""
    plant.wait_for("ready", "inventory-api")


def test_a_database_that_one_process_cannot_use_is_down(plant: Plant) -> None:
    other = Needed("a_db", failure="no answer")
    lacking, having = (
        Server(web.create_app(name, ready=[check]))
        for name, check in (("orders-api", other), ("orders-relay", Needed("a_db")))
    )
    processes = (
        Process("orders-api", "127.0.0.1", lacking.port),
        Process("orders-relay", "127.0.0.1", having.port, kind="relay"),
    )
    plant.more = [Machine("orders-vm", "127.0.0.1", "a_db", processes)]
    shown = plant.machine("orders-vm")
    lacking.stop()
    having.stop()
    assert [process["status"] for process in shown["processes"]] == ["unready", "ready"]
    assert shown["database"]["status"] == "down"


def test_a_stopped_process_is_down_on_a_machine_that_is_up(plant: Plant) -> None:
    plant.wait_for("ready", "inventory-relay")
    plant.relay.stop()
    shown = plant.wait_for("down", "inventory-relay")
    assert (shown["detail"], shown["milliseconds"]) == ("connection refused", None)
    assert plant.machine()["status"] == "up"
    assert plant.machine()["database"]["status"] == "up"


def test_with_all_processes_stopped_the_machine_is_up_and_the_database_unknown(
    plant: Plant,
) -> None:
    plant.api.stop()
    plant.relay.stop()
    status = plant.watch.status()
    assert status["status"] == "degraded"
    assert plant.machine()["status"] == "up"
    assert plant.machine()["database"]["status"] == "unknown"
    assert status["unavailable"] == ["bills", "orders", "outboxes", "queues"]
    assert (status["rabbitmq"]["status"], status["orders"], status["bills"]) == ("down", None, None)
    assert status["rabbitmq"]["detail"] == "connection refused"


def test_an_unreachable_process_is_down_and_hides_nothing_else(
    plant: Plant, patience: Callable[[float], None]
) -> None:
    patience(0.8)
    with unreachable() as port:
        plant.more = [machine("orders-vm", "orders-relay", port)]
        shown = plant.process("orders-relay", "orders-vm")
        assert (shown["status"], shown["detail"]) == ("down", "unreachable within 0.8 s")
        assert plant.machine("orders-vm")["database"]["status"] == "unknown"
        plant.wait_for("ready", "inventory-api")


def test_a_process_that_hangs_is_down_and_hides_nothing_else(
    plant: Plant, hung: RawUpstream, patience: Callable[[float], None]
) -> None:
    patience(0.8)
    plant.more = [machine("orders-vm", "orders-relay", hung.port)]
    plant.orders = plant.billing = Upstream("hung", "127.0.0.1", hung.port)
    shown = plant.process("orders-relay", "orders-vm")
    assert (shown["status"], shown["detail"]) == ("down", "no answer within 0.8 s")
    assert plant.machine("orders-vm")["status"] == "up"
    plant.wait_for("ready", "inventory-api")
    assert plant.watch.status()["unavailable"] == ["bills", "orders", "outboxes", "queues"]


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        (b'{"process": "another"}', "another answers at its port"),
        (b"<html>", "something else answers at its port"),
        (b"[]", "something else answers at its port"),
    ],
)
def test_another_program_at_its_port_is_not_mistaken_for_it(
    plant: Plant, said: bytes, detail: str
) -> None:
    length = str(len(said)).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n" + said
    other = RawUpstream([answering(answer)])
    plant.more = [machine("orders-vm", "orders-api", other.port)]
    shown = plant.process("orders-api", "orders-vm")
    other.close()
    assert (shown["status"], shown["detail"]) == ("down", detail)


def test_a_truncated_answer_does_not_count(plant: Plant) -> None:
    broken = RawUpstream([answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", close=True)])
    plant.more = [machine("orders-vm", "orders-api", broken.port)]
    shown = plant.process("orders-api", "orders-vm")
    broken.close()
    assert shown["status"] == "down"
    assert "incomplete answer" in shown["detail"]


def test_a_closed_keepalive_connection_is_no_failure(plant: Plant) -> None:
    body = b'{"process": "orders-api", "checks": {}}'
    length = str(len(body)).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n" + body
    closing = RawUpstream([answering(answer, close=True)])
    plant.more = [machine("orders-vm", "orders-api", closing.port)]
    seen: set[str] = set()
    try:
        while len(closing.requests) < 3:
            seen.add(plant.process("orders-api", "orders-vm")["status"])
    finally:
        closing.close()
    assert seen == {"ready"}


class Frozen:
    """A database that does not answer before it is thawed."""

    name = "gateway_db"

    def __init__(self) -> None:
        self.thawed = threading.Event()
        self.tries = 0

    def check(self) -> None:
        """Wait."""
        self.tries += 1
        self.thawed.wait()


def test_the_gateways_own_frozen_database_is_down_and_is_tried_once(
    plant: Plant, patience: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    patience(0.5)
    monkeypatch.setattr(watch_module, "INTERVAL_SECONDS", 0.1)
    frozen = Frozen()
    plant.own, plant.more = [frozen], [machine("gateway-vm", "gateway", free_port())]
    plant.own_key = plant.more[0].processes[0].key
    looks: set[str] = set()

    def is_down_four_times() -> bool:
        looks.add(plant.watch.status()["at"])
        shown = plant.process("gateway", "gateway-vm")
        assert shown["status"] == "unready"
        assert shown["checks"]["gateway_db"]["detail"] == "no answer within 0.5 s"
        return len(looks) > 3

    wait_until(is_down_four_times, 60, "four looks")
    assert frozen.tries == 1
    frozen.thawed.set()
    wait_until(
        lambda: plant.process("gateway", "gateway-vm")["status"] == "ready", 20, "it to be ready"
    )


def test_fifty_concurrent_clients_cause_one_check(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, patience: Callable[[float], None]
) -> None:
    monkeypatch.setattr(watch_module, "INTERVAL_SECONDS", 60)
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: plant.watch.status(), range(50)))
    assert len({status["at"] for status in found}) == 1
    # one each for the two processes, and one for the metrics of the relay
    assert plant.database.calls == 3


def test_clients_get_the_newest_snapshot_while_the_next_one_hangs(
    plant: Plant, hung: RawUpstream, patience: Callable[[float], None]
) -> None:
    patience(60)
    hung.acts = [answering(OK), silent]
    plant.more = [machine("orders-vm", "orders-api", hung.port)]
    first = plant.watch.status()
    wait_until(lambda: len(hung.requests) > 1 or not plant.watch.status(), 20, "a next look")
    assert plant.watch.status()["at"] == first["at"]


def test_the_watch_stops_when_no_client_asks(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not plant.watch.is_watching()
    assert plant.database.calls == 0
    first = plant.watch.status()
    with monkeypatch.context() as soon:
        soon.setattr(watch_module, "IDLE_SECONDS", 0.3)
        wait_until(lambda: not plant.watch.is_watching(), 20, "the watch to rest")
    wait_until(lambda: not watching(), 60, "its threads to end")
    calls = plant.database.calls
    assert plant.watch.status()["at"] > first["at"]
    assert plant.database.calls > calls


def test_the_watch_runs_while_clients_ask(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: set[str] = set()
    monkeypatch.setattr(watch_module, "INTERVAL_SECONDS", 0.1)
    wait_until(lambda: looks.add(plant.watch.status()["at"]) or len(looks) > 4, 20, "five looks")  # type: ignore[func-returns-value]


def test_a_failed_watch_is_logged_and_restarted(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(watch_module, "FIRST_SECONDS", 0.1)
        broken.setattr(watch_module, "Prober", None)
        status = plant.watch.status()
        wait_until(lambda: not plant.watch.is_watching(), 10, "the watch to end")
    assert status["status"] == "degraded"
    assert {p["detail"] for p in status["machines"][0]["processes"]} == {"not known yet"}
    assert "the watch ended unexpectedly" in caplog.text
    plant.wait_for("ready", "inventory-api")


def test_the_summary_has_the_services_and_where_to_read_on(plant: Plant) -> None:
    summary = plant.watch.summary()
    assert (summary["name"], summary["status"]) == ("crud-master", "degraded")
    services = summary["services"]
    assert services.keys() == {
        *("gateway", "inventory-api", "customers-api", "orders-api", "billing-api")
    }
    assert (services["inventory-api"], services["orders-api"]) == ("ready", "down")
    assert summary["links"]["status"] == "/api/status"


@pytest.fixture
def channel(broker_settings: BrokerSettings) -> Iterator[Any]:
    """A channel beside the watch's; the queue and its dead letters are there, and empty."""
    parameters = broker.parameters(broker_settings, "test")
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    for name in (QUEUE, DEAD):
        channel.queue_declare(name, durable=True, arguments=declarations.QUORUM)
        channel.queue_purge(name)
    yield channel
    # a test may have had it closed
    with suppress(AMQPError):
        connection.close()
    with pika.BlockingConnection(parameters) as again:
        for name in (QUEUE, DEAD):
            again.channel().queue_delete(name)


def figures(plant: Plant) -> tuple[Any, ...]:
    """Ready, in flight, dead-lettered, consumers."""
    shown = plant.queue(QUEUE)
    return tuple(shown[name] for name in ("ready", "in_flight", "dead_lettered", "consumers"))


def test_waiting_messages_and_dead_letters_are_counted(with_broker: Plant, channel: Any) -> None:
    with_broker.more = [machine("shop-vm", "shop-consumer", free_port(), (QUEUE,))]
    for queue in (QUEUE, QUEUE, QUEUE, DEAD):
        channel.basic_publish("", queue, b"{}")
    wait_until(lambda: figures(with_broker) == (3, 0, 1, 0), 60, "the messages to be seen")
    rabbitmq = with_broker.watch.status()["rabbitmq"]
    assert (rabbitmq["status"], rabbitmq["detail"]) == ("up", None)
    assert rabbitmq["milliseconds"] > 0
    assert "queues" not in with_broker.watch.status()["unavailable"]


class Held:
    """Applies nothing before it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def parse(self, delivery: Delivery) -> bytes:
        """Take anything."""
        return delivery.body

    def aggregate(self, item: bytes) -> None:
        """Nothing has an order."""

    def apply(self, items: Sequence[bytes], lock_seconds: float | None = None) -> None:
        """Wait."""
        self.go.wait()

    def check(self) -> None:
        """It can begin."""

    def is_outage(self, error: Exception) -> bool:
        """Nothing is."""
        return False


@contextmanager
def consuming(broker_settings: BrokerSettings) -> Iterator[Held]:
    """Have a consumer at work that holds what it gets until it may go on."""
    held, settings = Held(), broker_settings.for_queue(QUEUE)

    def consume(stop: threading.Event) -> None:
        Consumer(settings, "watched consumer", [Queue(QUEUE), Queue(DEAD)], held, stop).run()

    with at_work(consume):
        try:
            yield held
        finally:
            held.go.set()


def test_unacknowledged_messages_are_in_flight(
    with_broker: Plant, channel: Any, broker_settings: BrokerSettings
) -> None:
    consumer_process = Server(web.create_app("shop-consumer", ready=[]))
    with_broker.more = [machine("shop-vm", "shop-consumer", consumer_process.port, (QUEUE,))]
    for _ in range(5):
        channel.basic_publish("", QUEUE, b"{}")
    try:
        with consuming(broker_settings) as held:
            wait_until(lambda: figures(with_broker) == (0, 5, 0, 1), 20, "five in flight")
            held.go.set()
            wait_until(lambda: figures(with_broker) == (0, 0, 0, 1), 20, "none in flight")
    finally:
        consumer_process.stop()
    wait_until(lambda: figures(with_broker) == (0, 0, 0, 0), 20, "no consumer")


def test_messages_of_a_broken_connection_are_not_in_flight(
    channel: Any, broker_settings: BrokerSettings, rabbitmq: RabbitMQ
) -> None:
    channel.basic_publish("", QUEUE, b"{}")
    with consuming(broker_settings) as held:
        wait_until(lambda: gauge("messages_in_flight", queue=QUEUE) == 1, 20, "one in flight")
        rabbitmq.control("close_all_connections", "--vhost", "billing_vhost", "the test")
        held.go.set()
        wait_until(lambda: gauge("messages_in_flight", queue=QUEUE) == 0, 20, "none in flight")
    assert gauge("messages_in_flight", queue=QUEUE) == 0


def test_the_messages_in_flight_of_a_silent_consumer_are_unknown(
    with_broker: Plant, channel: Any
) -> None:
    # a health server that an earlier test has left behind may be at one of the ports
    IN_FLIGHT.clear()
    with_broker.more = [machine("shop-vm", "shop-consumer", free_port(), (QUEUE,))]
    channel.basic_consume(QUEUE, lambda *_: None)
    wait_until(lambda: figures(with_broker) == (0, None, 0, 1), 20, "a consumer")
    assert "queues" in with_broker.watch.status()["unavailable"]


def test_a_missing_queue_hides_no_other(broker_settings: BrokerSettings) -> None:
    watched = QueueProbe(broker_settings, ["nowhere", "billing_queue"])
    watched.start()
    try:
        for _ in range(3):
            found = watched.read().queues
            assert found["nowhere"] is None
            assert found["billing_queue"] is not None
    finally:
        watched.close()


def test_a_dead_queue_is_down_and_has_no_figures(
    with_broker: Plant, channel: Any, rabbitmq: RabbitMQ
) -> None:
    consumed = Needed("rabbitmq")
    consumer_process = Server(web.create_app("shop-consumer", ready=[consumed]))
    with_broker.more = [machine("shop-vm", "shop-consumer", consumer_process.port, (QUEUE,))]
    for queue in (QUEUE, DEAD):
        channel.basic_publish("", queue, b"{}")
    try:
        wait_until(lambda: figures(with_broker) == (1, 0, 1, 0), 20, "the messages to be seen")
        assert status_of(with_broker, QUEUE) == ("up", None)
        with queues_stopped(rabbitmq):
            consumed.failure = f"{QUEUE} is dead"
            wait_until(
                lambda: status_of(with_broker, QUEUE) == ("down", f"{QUEUE} is dead"),
                20,
                "the dead queue to be seen",
            )
            assert figures(with_broker) == (None, None, None, None)
            # nobody of ours consumes it, and so nobody knows better
            assert status_of(with_broker, "events_queue")[0] == "down"
            status = with_broker.watch.status()
            assert "queues" in status["unavailable"]
            assert status["rabbitmq"]["status"] == "up"
        consumed.failure = ""
        wait_until(lambda: figures(with_broker) == (1, 0, 1, 0), 60, "the figures to be back")
    finally:
        consumer_process.stop()


def status_of(plant: Plant, name: str) -> tuple[str, str | None]:
    """How a queue is said to be, and why."""
    queue = plant.queue(name)
    return queue["status"], queue["detail"]


def is_up(plant: Plant) -> bool:
    """Whether the broker is said to be up."""
    return bool(plant.watch.status()["rabbitmq"]["status"] == "up")


def test_a_stopped_broker_is_down_until_it_is_back(
    with_broker: Plant, rabbitmq: RabbitMQ, patience: Callable[[float], None]
) -> None:
    wait_until(lambda: is_up(with_broker), 20, "the broker to be seen")
    patience(0.8)
    with stopped(rabbitmq):
        wait_until(lambda: not is_up(with_broker), 20, "the broker to be missed")
        status = with_broker.watch.status()
        assert "queues" in status["unavailable"]
        assert {(queue["status"], queue["ready"]) for queue in status["queues"]} == {
            ("unknown", None)
        }
        with_broker.wait_for("ready", "inventory-api")
    wait_until(lambda: is_up(with_broker), 30, "the broker to be back")


def test_a_frozen_broker_is_down_until_it_is_back(
    with_broker: Plant, rabbitmq: RabbitMQ, patience: Callable[[float], None]
) -> None:
    # from the beginning: a look under way goes on with the patience that it began with
    patience(0.8)
    wait_until(lambda: is_up(with_broker), 20, "the broker to be seen")
    with frozen(rabbitmq):
        wait_until(lambda: not is_up(with_broker), 60, "the broker to be missed")
        assert with_broker.watch.status()["rabbitmq"]["detail"] == "no answer within 0.8 s"
        with_broker.wait_for("ready", "inventory-api")
        with_broker.watch.close()
    wait_until(lambda: is_up(with_broker), 30, "the broker to be back")


def test_an_outbox_is_shown_as_its_relay_reports_it_while_its_database_is_up(plant: Plant) -> None:
    OUTBOX_BACKLOG.set(7)
    OUTBOX_LAG.set(1.5)
    place = {"process": "inventory-relay", "machine": "inventory-vm"}
    shown = {**place, "backlog": 7, "lag_seconds": 1.5}
    assert plant.watch.status()["outboxes"] == [shown]
    plant.database.failure = "refused"
    unknown = shown | {"backlog": None, "lag_seconds": None}
    wait_until(lambda: plant.watch.status()["outboxes"] == [unknown], 20, "it to be unknown")
    assert "outboxes" in plant.watch.status()["unavailable"]


def test_orders_by_state_and_the_newest_bills_are_shown(
    plant: Plant,
    orders_unconnected: OrdersSettings,
    billing_settings: BillingSettings,
    billing_db: Database,
) -> None:
    app = create_orders(orders_unconnected)
    app.test_client().post("/api/orders", json={"customer_id": "1", "total_amount": 5})
    with billing_db.transaction() as connection:
        bills.record(
            connection, [{**BILL, "message_id": f"{n}", "order_id": None} for n in range(12)]
        )
    servers = [Server(app), Server(create_billing(billing_settings))]
    plant.orders = Upstream("orders-api", "127.0.0.1", servers[0].port)
    plant.billing = Upstream("billing-api", "127.0.0.1", servers[1].port)
    status = plant.watch.status()
    for server in servers:
        server.stop()
    assert status["orders"] == {"pending": 1, "processing": 0, "completed": 0, "cancelled": 0}
    assert [bill["id"] for bill in status["bills"]] == [str(n) for n in range(11, 1, -1)]
    assert str(status["bills"][0]["total_amount"]) == "99.97"


def test_the_watchs_own_requests_are_not_logged_and_others_are(
    billing: FlaskClient, orders: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for client, path in ((billing, "/api/billing"), (orders, "/api/orders/stats")):
        client.get(path, headers={caller.HEADER: caller.WATCH})
        assert "request answered" not in caplog.text
        client.get(path)
        assert "request answered" in caplog.text
        caplog.clear()


@pytest.fixture
def protecting(
    gateway_db: Database, database_settings: Callable[[str], DatabaseSettings]
) -> Callable[..., FlaskClient]:
    """Make a gateway that protects these classes, before nothing."""

    def make(protected: str, **changes: object) -> FlaskClient:
        auth = read(AuthSettings, auth_protected=protected, api_token="a-token-of-the-tests")
        database = database_settings("gateway").model_copy(update=changes)
        behind, port = nobody("nobody"), PortSettings(port=free_port())
        settings = Settings(
            *(SERVER, port, port, database, NOWHERE),
            inventory=behind,
            billing=behind,
            customers=behind,
            orders=behind,
            auth=auth,
        )
        return create_app(settings, Publisher(NOWHERE, "idle", [])).test_client()

    return make


@pytest.fixture
def known_bill(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A bill that every watch knows of."""
    parts: dict[str, Any] = {name: [] for name in document._DETAILS}
    status = {**parts, "status": "up", "bills": [BILL], "unavailable": [], "protected": []}
    monkeypatch.setattr(Watcher, "status", lambda _watch: status)
    return status


def asked(client: FlaskClient, token: str | None = None) -> Any:
    """What a client is answered."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = client.get("/api/status", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return json.loads(answer.data)


def test_bills_are_for_everybody_unless_they_are_protected(
    protecting: Callable[..., FlaskClient], known_bill: dict[str, Any]
) -> None:
    assert asked(protecting("orders")) == known_bill


def test_protected_bills_are_for_those_who_may_read_them(
    protecting: Callable[..., FlaskClient], known_bill: dict[str, Any], gateway_db: Database
) -> None:
    client = protecting("billing")
    names = {"billing:read": True, "billing:write": False, "orders:read": False}
    with gateway_db.transaction() as connection:
        made = {
            n: tokens.create(connection, n[:5] + n[-5:].strip(":"), scopes.parse(n), None)
            for n in names
        }
    hidden = {**known_bill, "bills": None, "protected": ["bills"]}
    for scope, may in names.items():
        assert asked(client, made[scope]) == (known_bill if may else hidden)
    assert asked(client) == asked(client, "unknown") == hidden
    assert asked(client, "a-token-of-the-tests")["bills"] == [BILL]


def test_without_the_gateways_database_protected_bills_are_for_the_bootstrap_token_alone(
    protecting: Callable[..., FlaskClient], known_bill: dict[str, Any]
) -> None:
    client = protecting("billing", port=free_port())
    assert asked(client, str(uuid4()))["protected"] == ["bills"]
    assert asked(client, "a-token-of-the-tests")["bills"] == [BILL]


def test_the_status_itself_needs_no_token_and_is_not_logged(
    protecting: Callable[..., FlaskClient],
    known_bill: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert asked(protecting("all"))["status"] == "up"
    assert "request answered" not in caplog.text
