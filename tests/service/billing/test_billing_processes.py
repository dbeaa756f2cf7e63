"""billing-consumer and billing-relay as PM2 runs them: three queues, a topic, faults between."""

import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pika
import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from billing import consumer as billing_consumer
from billing import relay as billing_relay
from billing.__main__ import commands
from billing.settings import Settings
from chassis.http import worker_process
from chassis.messaging import declarations
from chassis.messaging.cloudevents import event
from chassis.settings import BrokerSettings
from chassis.storage import migrations
from chassis.storage.database import Database
from tests.support.amqp import connect
from tests.support.at_work import Worker, at_work, startable
from tests.support.process import Process, environment
from tests.support.servers import DATABASES, PASSWORD
from tools.stack.errors import StackError
from tools.stack.ports import free_port
from tools.stack.servers.data_directories import private_home
from tools.stack.servers.postgres import Postgres
from tools.stack.waiting import wait_until

QUEUE, ORDERS, INBOX = "billing_queue", "order_bills", "billing_inbox"
LISTENER = "debug-billing-events"
GOOD = {"user_id": "usr_1", "number_of_items": 3, "total_amount": 99.97, "order_id": "CMD001"}
SECONDS = 90.0
MANY = 3000


class Wire:
    """The broker as other services and a listener see it."""

    def __init__(self, channel: BlockingChannel, settings: BrokerSettings) -> None:
        self._channel = channel
        self.settings = settings
        self.told: list[dict[str, Any]] = []

    def bill(
        self, uid: UUID | str, body: object = GOOD, queue: str = QUEUE, **headers: str
    ) -> None:
        """Publish a bill, as the gateway does, or orders-relay into the queue of its own."""
        properties = pika.BasicProperties(message_id=str(uid), headers=headers, delivery_mode=2)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._channel.basic_publish("", queue, data, properties, mandatory=True)

    def cancel(self, uid: object, event_id: UUID | None = None) -> None:
        """Publish order.cancelled, as orders-relay does."""
        data = {"uid": uid, "order_id": "CMD001", "status": "cancelled", "lines": []}
        message = event("order_events", "order.cancelled", "orders-api", data, id=event_id)
        self.publish("order_events", "order.cancelled", message.body, message.id)

    def publish(self, exchange: str, routing_key: str, body: bytes, message_id: str) -> None:
        """Publish anything."""
        properties = pika.BasicProperties(message_id=message_id, delivery_mode=2)
        self._channel.basic_publish(exchange, routing_key, body, properties, True)

    def hear(self, type: str) -> None:
        """Have the listener get another type of event, too."""
        self._channel.queue_bind(LISTENER, "billing_events", type)

    def purge(self, queue: str) -> None:
        """Throw away what is in a queue."""
        self._channel.queue_purge(queue)

    def clear(self, queue: str) -> None:
        """Have a queue there, and nothing in it."""
        self._channel.queue_declare(queue, durable=True, arguments=declarations.QUORUM)
        self._channel.queue_purge(queue)

    def delete(self, queue: str) -> None:
        """Delete a queue, with its bindings."""
        self._channel.queue_delete(queue)

    def waiting(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def take(self, queue: str) -> tuple[pika.BasicProperties, bytes] | None:
        """Take a message from a queue, if there is one."""
        method, properties, body = self._channel.basic_get(queue, auto_ack=True)
        return None if method is None or properties is None else (properties, body or b"")

    def listen(self) -> list[dict[str, Any]]:
        """Return all that was told on `billing_events` so far."""
        while (taken := self.take(LISTENER)) is not None:
            self.told.append(json.loads(taken[1]))
        return self.told

    def wait_for_events(self, number: int) -> None:
        """Wait until so many events were told."""
        wait_until(lambda: len(self.listen()) >= number, SECONDS, f"{number} events")

    def wait_for_different_events(self, number: int) -> None:
        """Wait until so many events were told; one that came again does not count."""

        def different() -> int:
            return len({envelope["id"] for envelope in self.listen()})

        wait_until(lambda: different() >= number, SECONDS, f"{number} different events")


@pytest.fixture
def wire(billing_settings: Settings) -> Iterator[Wire]:
    """All of billing's queues empty, and one that listens to `billing_events`."""
    with connect(billing_settings.broker) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.exchange_declare("order_events", "topic", durable=True)
        channel.exchange_declare("billing_events", "topic", durable=True)
        own = [name for queue in (QUEUE, ORDERS, INBOX) for name in (queue, f"{queue}.dlq")]
        for name in (*own, LISTENER):
            channel.queue_declare(name, durable=True, arguments=declarations.QUORUM)
            channel.queue_purge(name)
        channel.queue_bind(INBOX, "order_events", "order.cancelled")
        channel.queue_bind(LISTENER, "billing_events", "bill.recorded")
        yield Wire(channel, billing_settings.broker)
        channel.queue_delete(LISTENER)


def variables(settings: Settings, home: Path) -> dict[str, str]:
    """The environment of billing's processes."""
    return environment(
        "billing",
        settings,
        home,
        BILLING_CONSUMER_PORT=settings.consumer_port.port,
        BILLING_RELAY_PORT=settings.relay_port.port,
    )


class Billing(Process):
    """A process of billing."""

    def __init__(self, command: str, variables: dict[str, str], home: Path, port: int) -> None:
        super().__init__("billing", command, variables, home, port)

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        super().start()
        wait_until(self.is_ready, SECONDS, self.url)

    def checks(self) -> set[str]:
        """What `/ready` names."""
        response = self.request("GET", "/ready")
        return set(response.json()["checks"]) if response is not None else set()


@contextmanager
def process(command: str, settings: Settings, port: int, home: Path) -> Iterator[Billing]:
    """Lend a process, not started yet."""
    lent = Billing(command, variables(settings, home), home, port)
    try:
        yield lent
    finally:
        lent.end()


@pytest.fixture
def consumer(billing_settings: Settings, wire: Wire) -> Iterator[Worker]:
    """billing-consumer in a thread, not started yet."""
    with startable(partial(billing_consumer.run, billing_settings)) as lent:
        yield lent


@pytest.fixture
def relay(billing_settings: Settings, wire: Wire) -> Iterator[Worker]:
    """billing-relay in a thread, not started yet."""
    with startable(partial(billing_relay.run, billing_settings)) as lent:
        yield lent


@pytest.fixture
def consumer_process(billing_settings: Settings, wire: Wire, tmp_path: Path) -> Iterator[Billing]:
    """billing-consumer, not started yet."""
    port = billing_settings.consumer_port.port
    with process("consume", billing_settings, port, tmp_path) as lent:
        yield lent


@pytest.fixture
def relay_process(billing_settings: Settings, wire: Wire, tmp_path: Path) -> Iterator[Billing]:
    """billing-relay, not started yet."""
    with process("relay", billing_settings, billing_settings.relay_port.port, tmp_path) as lent:
        yield lent


def voided(database: Database) -> dict[str, bool]:
    """Of each bill whether it is void."""
    with database.autocommit() as connection:
        rows = connection.execute(text("SELECT message_id, voided_at FROM orders"))
        return {row.message_id: row.voided_at is not None for row in rows}


def test_each_bill_is_announced_exactly_once_as_the_api_shows_it(
    wire: Wire, consumer_process: Billing, relay_process: Billing, billing: FlaskClient
) -> None:
    consumer_process.start()
    relay_process.start()
    assert consumer_process.checks() == {"billing_db", QUEUE, ORDERS, INBOX}
    assert relay_process.checks() == {"billing_db", "rabbitmq"}
    uids = [str(uuid4()) for _ in range(100)]
    for uid in [*uids, *uids[:40]]:
        wire.bill(uid)
    wire.wait_for_events(100)
    wait_until(lambda: wire.waiting(QUEUE) == 0, SECONDS, "the queue to be empty")
    assert consumer_process.end() == relay_process.end() == 0
    told = {envelope["data"]["id"]: envelope["data"] for envelope in wire.listen()}
    assert sorted(told) == sorted(uids)
    assert len(wire.told) == 100
    assert {(e["type"], e["source"]) for e in wire.told} == {("bill.recorded", "billing-consumer")}
    shown = json.loads(billing.get("/api/billing?limit=1000").data)
    assert told == {bill["id"]: bill for bill in shown}


def test_the_event_of_a_bill_carries_the_ids_of_its_request(
    wire: Wire, consumer: Worker, relay: Worker
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-ID": "one", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    wire.bill("a", **headers)
    wire.bill("b", **{"X-Request-ID": "two"})
    consumer.start()
    relay.start()
    wait_until(lambda: wire.waiting(LISTENER) == 2, SECONDS, "both events")
    found = {}
    while (taken := wire.take(LISTENER)) is not None:
        properties, body = taken
        found[json.loads(body)["data"]["id"]] = properties.headers or {}
    assert {bill: headers["X-Request-ID"] for bill, headers in found.items()} == {
        "a": "one",
        "b": "two",
    }
    assert found["a"]["traceparent"].startswith(f"00-{trace}-")


def test_cancellations_void_bills_that_came_before_and_bills_that_come_after(
    wire: Wire, consumer: Worker, billing_db: Database, billing: FlaskClient
) -> None:
    before, after, valid = (str(uuid4()) for _ in range(3))
    consumer.start()
    wire.bill(before)
    wire.cancel(after)
    wait_until(lambda: before in voided(billing_db), SECONDS, "the first bill")
    wait_until(lambda: notes(billing_db) == 1, SECONDS, "the note")
    for uid in (after, valid):
        wire.bill(uid)
    wire.cancel(before)
    expected = {before: True, after: True, valid: False}
    wait_until(lambda: voided(billing_db) == expected, SECONDS, "all three bills")
    shown = json.loads(billing.get(f"/api/billing/{after}").data)
    assert shown["voided_at"] <= shown["created_at"]


def notes(database: Database) -> int:
    """How many bills are noted that have not come yet."""
    with database.autocommit() as connection:
        return int(connection.execute(text("SELECT count(*) FROM voided_bills")).scalar_one())


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (b"not json", "not JSON"),
        (b"{}", "id"),
        (b'{"id": "1", "type": "order.cancelled", "data": {}}', "uid"),
        (b'{"id": "1", "type": "order.cancelled", "data": {"uid": "a bill"}}', "uid"),
    ],
)
def test_poison_in_either_queue_goes_to_its_own_dead_letters_and_stops_nothing(
    wire: Wire, consumer: Worker, billing_db: Database, poison: bytes, reason: str
) -> None:
    uids = [str(uuid4()) for _ in range(4)]
    for number, uid in enumerate(uids):
        wire.bill(uid)
        wire.cancel(uid)
        if number == 1:
            wire.bill("poison", b"not a bill")
            wire.publish("order_events", "order.cancelled", poison, "poison")
    consumer.start()
    wait_until(lambda: voided(billing_db) == dict.fromkeys(uids, True), SECONDS, "void bills")
    for queue, body, why in ((QUEUE, b"not a bill", "not JSON"), (INBOX, poison, reason)):
        dead = f"{queue}.dlq"
        wait_until(lambda name=dead: wire.waiting(name) == 1, SECONDS, dead)  # type: ignore[misc]
        taken = wire.take(dead)
        assert taken is not None and taken[0].headers is not None
        assert taken[1] == body
        assert why in taken[0].headers["x-dead-letter-reason"]
    assert wire.waiting(QUEUE) == wire.waiting(INBOX) == 0


@pytest.fixture
def command(
    billing_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """`python -m billing dlq ...`; returns what it says."""
    for name, value in variables(billing_settings, tmp_path).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(commands, ["dlq", *arguments])
        return result.output

    return run


def test_dead_letters_of_each_queue_are_listed_and_requeued_apart(
    wire: Wire, command: Callable[..., str]
) -> None:
    for queue in (QUEUE, ORDERS, INBOX):
        wire.publish("", f"{queue}.dlq", b"{}", f"of-{queue}")
    assert "of-billing_queue" in command("list")
    assert "of-billing_queue" in command("--queue", QUEUE, "list")
    listed = command("--queue", INBOX, "list")
    assert ("of-billing_inbox" in listed, len(listed.splitlines())) == (True, 1)
    assert command("--queue", ORDERS, "discard", "of-order_bills") == "discarded 1\n"
    assert command("--queue", INBOX, "requeue", "--all") == "requeued 1\n"
    taken = wire.take(INBOX)
    assert taken is not None and taken[0].message_id == "of-billing_inbox"
    assert command("discard", "of-billing_queue") == "discarded 1\n"
    assert [wire.waiting(f"{queue}.dlq") for queue in (QUEUE, INBOX)] == [0, 0]


@pytest.mark.parametrize("action", ["discard", "requeue"])
def test_many_dead_letters_leave_the_queue_permanently(
    wire: Wire, command: Callable[..., str], action: str
) -> None:
    for number in range(200):
        wire.publish("", f"{QUEUE}.dlq", b"{}", f"dead-{number}")
    chosen = [f"dead-{number}" for number in range(0, 200, 2)]
    assert command(action, *chosen).endswith("ed 100\n")
    left = {line.split()[0] for line in command("list").splitlines()}
    assert left == {f"dead-{number}" for number in range(1, 200, 2)}
    back = []
    while (taken := wire.take(QUEUE)) is not None:
        back.append(taken[0].message_id)
    assert sorted(back) == (sorted(chosen) if action == "requeue" else [])


def test_billings_commands_refuse_queues_of_other_services(command: Callable[..., str]) -> None:
    assert "the queues are billing_queue, order_bills, billing_inbox" in command(
        "--queue", "other", "list"
    )


def test_a_bill_of_an_order_is_recorded_while_many_of_clients_wait(
    wire: Wire, consumer: Worker, billing_db: Database
) -> None:
    with connect(wire.settings) as connection:
        channel = connection.channel()
        channel.tx_select()
        for number in range(MANY):
            properties = pika.BasicProperties(message_id=f"bulk-{number}", delivery_mode=2)
            channel.basic_publish("", QUEUE, json.dumps(GOOD).encode(), properties)
        channel.tx_commit()
    uids = [str(uuid4()) for _ in range(10)]
    for uid in uids:
        wire.bill(uid, queue=ORDERS)
    consumer.start()
    recorded = text("SELECT count(*) FROM orders WHERE message_id = ANY(:uids)")

    def are_recorded() -> bool:
        with billing_db.autocommit() as connection:
            return bool(connection.execute(recorded, {"uids": uids}).scalar_one() == len(uids))

    wait_until(are_recorded, SECONDS, "the bills of orders")
    consumer.end()
    before = text(
        "SELECT count(*) FROM orders WHERE message_id <> ALL(:uids) AND created_at <= "
        "(SELECT max(created_at) FROM orders WHERE message_id = ANY(:uids))"
    )
    with billing_db.autocommit() as reading:
        assert reading.execute(before, {"uids": uids}).scalar_one() < MANY
    wire.purge(QUEUE)


def test_a_bill_that_an_older_version_put_into_the_queue_of_clients_is_recorded(
    wire: Wire, consumer: Worker, relay: Worker
) -> None:
    uid = uuid4()
    wire.bill(uid)
    consumer.start()
    relay.start()
    wire.wait_for_events(1)
    assert wire.told[0]["data"]["id"] == str(uid)


def test_a_repeated_bill_of_an_order_is_announced_again_and_a_cancelled_one_as_void(
    wire: Wire, consumer: Worker, relay: Worker
) -> None:
    uid = uuid4()
    wire.hear("bill.voided")
    wire.clear("orders_inbox")
    consumer.start()
    relay.start()
    for number in (1, 2):
        wire.bill(uid, queue=ORDERS)
        wait_until(lambda n=number: wire.waiting("orders_inbox") == n, SECONDS, "an answer")  # type: ignore[misc]
    wire.cancel(uid)
    wire.wait_for_events(2)
    recorded, voided = wire.told
    answers = [json.loads(taken[1]) for _ in range(2) if (taken := wire.take("orders_inbox"))]
    assert [answer["data"] for answer in answers] == [recorded["data"]] * 2
    assert answers[0]["id"] == recorded["id"] != answers[1]["id"]
    assert voided["type"] == "bill.voided"
    assert voided["data"] == recorded["data"] | {"voided_at": voided["data"]["voided_at"]}


def exists(queue: str, wire: Wire) -> bool:
    """Whether there is a queue of this name."""
    with connect(wire.settings) as connection:
        try:
            connection.channel().queue_declare(queue, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True


def test_an_event_that_no_queue_takes_waits_and_finds_the_queue_declared(
    wire: Wire, consumer: Worker, relay: Worker, billing_db: Database
) -> None:
    """Even if nobody else has declared the inbox of orders."""
    wire.delete(LISTENER)
    wire.delete("orders_inbox")
    consumer.start()
    relay.start()
    wait_until(lambda: exists("orders_inbox", wire), SECONDS, "the relay to declare the queue")
    wire.delete("orders_inbox")
    uid = uuid4()
    wire.bill(uid, queue=ORDERS)
    taken: list[bytes] = []

    def has_come() -> bool:
        with suppress(pika.exceptions.ChannelClosedByBroker), connect(wire.settings) as connection:
            _method, _properties, body = connection.channel().basic_get("orders_inbox", True)
            taken.extend([body] if body else [])
        return bool(taken)

    wait_until(has_come, SECONDS, "the event in the inbox of orders")
    assert json.loads(taken[0])["data"]["id"] == str(uid)


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL with billing_db that may be killed: what it has committed, it keeps."""
    with private_home() as home:
        server = Postgres(home / "postgres", host="127.0.0.1", port=free_port())
        server.start()
        server.create_database(*DATABASES["billing"], PASSWORD)
        yield server
        server.stop()


@pytest.fixture
def on_own_postgres(billing_settings: Settings, own_postgres: Postgres) -> Settings:
    """Billing's configuration for that server, migrated."""
    database = billing_settings.database.model_copy(update={"port": own_postgres.port})
    migrations.upgrade("billing", database)
    return replace(billing_settings, database=database)


def test_with_the_database_killed_in_between_nothing_is_lost_or_done_twice(
    wire: Wire, own_postgres: Postgres, on_own_postgres: Settings
) -> None:
    settings = on_own_postgres
    uids = [str(uuid4()) for _ in range(240)]
    with at_work(partial(billing_consumer.run, settings), partial(billing_relay.run, settings)):
        for number, uid in enumerate(uids):
            wire.cancel(uid)
            wire.bill(uid)
            if number in (80, 160):
                own_postgres.kill()
            if number in (120, 200):
                own_postgres.start()
        wire.wait_for_different_events(240)
        database = Database(settings.database, connections=1)
        wait_until(lambda: sum(voided(database).values()) == 240, SECONDS, "all void bills")
        database.close()
    told = {envelope["id"]: envelope["data"]["id"] for envelope in wire.told}
    assert sorted(told.values()) == sorted(uids)
    assert wire.waiting(f"{QUEUE}.dlq") == wire.waiting(f"{INBOX}.dlq") == 0


def test_two_killed_consumers_record_void_and_announce_once(
    wire: Wire,
    consumer_process: Billing,
    relay: Worker,
    billing_settings: Settings,
    tmp_path: Path,
) -> None:
    port = billing_settings.consumer_port.port
    database = Database(billing_settings.database, connections=1)
    with process("consume", billing_settings, port, tmp_path) as second:
        relay.start()
        for one in (consumer_process, second):
            one.start()
        uids = [str(uuid4()) for _ in range(300)]
        for number, uid in enumerate(uids):
            wire.bill(uid)
            if number % 2:
                wire.cancel(uid)
            if number in (100, 200):
                one = second if number == 200 else consumer_process
                one.end(signal.SIGKILL)
                one.start()
        expected = {uid: bool(number % 2) for number, uid in enumerate(uids)}
        wait_until(lambda: voided(database) == expected, SECONDS, "all bills")
        wire.wait_for_events(300)
    database.close()
    assert Counter(e["data"]["id"] for e in wire.listen()) == Counter(uids)


def test_a_stop_ends_both_in_order(
    wire: Wire, consumer_process: Billing, consumer: Worker, billing_db: Database
) -> None:
    consumer_process.start()
    uids = [str(uuid4()) for _ in range(400)]
    for uid in uids:
        wire.bill(uid)
        wire.cancel(uid)
    assert consumer_process.end() == 0
    recorded = voided(billing_db)
    with billing_db.autocommit() as connection:
        applied = connection.execute(text("SELECT count(*) FROM inbox")).scalar_one()
    # a quorum queue may forget single acknowledgements that came just before the channel's end
    wait_until(
        lambda: len(recorded) + wire.waiting(QUEUE) >= 400 and applied + wire.waiting(INBOX) >= 400,
        SECONDS,
        "all to be recorded or to wait",
    )
    consumer.start()
    wait_until(lambda: voided(billing_db) == dict.fromkeys(uids, True), SECONDS, "all bills")
    wait_until(lambda: wire.waiting(QUEUE) == wire.waiting(INBOX) == 0, SECONDS, "empty queues")


@pytest.mark.parametrize("culprit", ["first", "other"])
def test_when_one_of_two_ends_unexpectedly_both_end_and_the_process_fails(culprit: str) -> None:
    stop, ended = threading.Event(), []

    def good() -> None:
        assert stop.wait(SECONDS)
        ended.append("good")

    def bad() -> None:
        raise StackError("out of order")

    loops = (bad, good) if culprit == "first" else (good, bad)
    with pytest.raises(StackError, match="out of order"):
        worker_process.run_together(stop, *loops)
    assert ended == ["good"]
