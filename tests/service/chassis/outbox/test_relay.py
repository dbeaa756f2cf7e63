"""The relay on real servers: order, refusals, outages, hand-over."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from itertools import product
from multiprocessing.process import BaseProcess

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from prometheus_client import REGISTRY
from sqlalchemy import text

from chassis.messaging import declarations
from chassis.messaging.declarations import Binding, Exchange, Queue
from chassis.messaging.message import Message
from chassis.messaging.publisher import Publisher
from chassis.outbox import table as outbox
from chassis.outbox.relay import Relay
from chassis.outbox.waiting import Page, new_messages, retryable
from chassis.settings import BrokerSettings, DatabaseSettings
from chassis.storage.database import Database
from tests.support.amqp import connect
from tests.support.at_work import at_work
from tests.support.link import Link, linked
from tests.support.outages import frozen, keep_queues
from tests.support.relaying import relay_until
from tests.support.statements import plan_of, statements_of
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.waiting import wait_until

EXCHANGE, QUEUE, LATER = "relay-test-events", "relay-test", "relay-test-later"
TOPOLOGY: declarations.Topology = [
    Exchange(EXCHANGE, "fanout"),
    Queue(QUEUE),
    Binding(QUEUE, EXCHANGE),
]
# how many messages of a lane these relays have in flight at once
BATCH = 50
# longer than the longest pause of a relay, and the time that a broker takes to start
SECONDS = 90.0


def relay_for_ever(database: DatabaseSettings, settings: BrokerSettings) -> None:
    """Run a relay in a process that will be killed."""
    relay_until(database, settings, TOPOLOGY, threading.Event(), batch=BATCH)


@pytest.fixture
def database(
    gateway_db: Database, database_settings: Callable[[str], DatabaseSettings]
) -> DatabaseSettings:
    """The settings of a database with an outbox, which is empty."""
    return database_settings("gateway")


@pytest.fixture
def bound(broker_settings: BrokerSettings) -> None:
    """QUEUE is bound and empty, and LATER not there."""
    with connect(broker_settings) as connection:
        channel = connection.channel()
        channel.queue_delete(LATER)
        channel.queue_declare(QUEUE, durable=True, arguments=declarations.QUORUM)
        channel.queue_purge(QUEUE)
        channel.exchange_declare(EXCHANGE, "fanout", durable=True)
        channel.queue_bind(QUEUE, EXCHANGE)


@pytest.fixture
def channel(broker_settings: BrokerSettings, bound: None) -> Iterator[BlockingChannel]:
    """A channel beside the relay's, for tests that leave the broker alone."""
    with connect(broker_settings) as connection:
        yield connection.channel()


@pytest.fixture
def relay(
    database: DatabaseSettings, broker_settings: BrokerSettings
) -> Iterator[Callable[..., object]]:
    """Start a relay in a thread."""
    run = partial(relay_until, database, broker_settings, TOPOLOGY, batch=BATCH)
    with ExitStack() as running:
        yield lambda **options: running.enter_context(at_work(partial(run, **options)))


@pytest.fixture
def link(broker_settings: BrokerSettings) -> Iterator[Link]:
    """The way to the broker of `linked_relay`."""
    with linked(broker_settings.port) as link:
        yield link


@pytest.fixture
def linked_relay(
    database: DatabaseSettings, broker_settings: BrokerSettings, link: Link
) -> Iterator[Callable[[], object]]:
    """Start a relay in a thread, whose way to the broker can be cut."""
    there = broker_settings.model_copy(update={"port": link.port})
    run = partial(relay_until, database, there, TOPOLOGY, batch=BATCH)
    with ExitStack() as running:
        yield lambda: running.enter_context(at_work(run))


@pytest.fixture
def processes(
    database: DatabaseSettings, broker_settings: BrokerSettings
) -> Iterator[Callable[[], BaseProcess]]:
    """Start a relay in a process of its own."""
    started: list[BaseProcess] = []

    def start() -> BaseProcess:
        arguments = (database, broker_settings)
        context = multiprocessing.get_context("spawn")
        started.append(context.Process(target=relay_for_ever, args=arguments))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.join()


def add(database: Database, *names: str, **changes: object) -> None:
    """Put events into the outbox in one transaction; `a/1` is the first of aggregate `a`."""
    with database.transaction() as connection:
        for name in names:
            aggregate, _slash, _number = name.rpartition("/")
            message = Message(b"{}", "", EXCHANGE, name, mandatory=False)
            outbox.add(connection, changed(message, **changes), aggregate or None)


def add_others(database: Database, count: int) -> list[str]:
    """Put events that nobody waits for into the outbox by one statement, and return their names."""
    names = [f"other-{number}" for number in range(count)]
    with database.transaction() as connection:
        messages = [Message(b"{}", "", EXCHANGE, name, mandatory=False) for name in names]
        outbox.add_all(connection, messages)
    return names


def changed(message: Message, **changes: object) -> Message:
    """The same message, but for `changes`."""
    return Message(**{**vars(message), **changes})


def to_queue(name: str) -> dict[str, object]:
    """What of a message makes it go to one queue, which has to be there."""
    return {"exchange": "", "routing_key": name, "mandatory": True}


def numbered(aggregate: str, count: int) -> list[str]:
    """The names of an aggregate's events."""
    return [f"{aggregate}/{number}" for number in range(count)]


def waiting(database: Database) -> list[str]:
    """What the outbox has not delivered yet."""
    return ids(database, "sent_at IS NULL")


def ids(database: Database, condition: str = "true") -> list[str]:
    """The message ids in the outbox."""
    with database.autocommit() as connection:
        statement = text(f"SELECT message_id FROM outbox WHERE {condition} ORDER BY id")
        return list(connection.execute(statement).scalars())


def attempts(database: Database) -> dict[str, int]:
    """How often each message was tried."""
    with database.autocommit() as connection:
        rows = connection.execute(text("SELECT message_id, attempts FROM outbox"))
        return {row.message_id: row.attempts for row in rows}


def wait_until_all_is_sent(database: Database) -> None:
    """Wait for the relay."""
    wait_until(lambda: not waiting(database), SECONDS, "an empty outbox")


def taken(channel: BlockingChannel, queue: str = QUEUE) -> list[str]:
    """Take all messages from a queue and return their ids."""
    found: list[str] = []
    while True:
        method, properties, _body = channel.basic_get(queue, auto_ack=True)
        if method is None or properties is None:
            return found
        found.append(properties.message_id or "")


def taken_anew(settings: BrokerSettings) -> list[str]:
    """Take all messages on a connection made for it, the broker having been away."""
    with connect(settings) as connection:
        return taken(connection.channel())


def first_arrivals(arrived: list[str]) -> dict[str, list[str]]:
    """The order in which each aggregate's events came, without repetitions."""
    orders: dict[str, list[str]] = {}
    for name in dict.fromkeys(arrived):
        orders.setdefault(name.rpartition("/")[0], []).append(name)
    return orders


def test_messages_arrive_once_those_of_an_aggregate_in_their_order(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    relay()
    # it may come before the relay is connected to the broker, and fail once
    add(gateway_db, "first")
    wait_until_all_is_sent(gateway_db)
    events = [f"{number % 7}/{number // 7}" for number in range(280)]
    loose = [f"loose-{number}" for number in range(120)]
    for part in (events[:1], events[1:120] + loose, events[120:]):
        add(gateway_db, *part)
    wait_until_all_is_sent(gateway_db)
    arrived = taken(channel)
    assert sorted(arrived) == sorted(["first", *events, *loose])
    orders = first_arrivals(arrived)
    del orders[""]
    assert orders == {str(number): numbered(str(number), 40) for number in range(7)}
    counted = attempts(gateway_db)
    del counted["first"]
    assert set(counted.values()) == {1}


def test_a_rolled_back_change_is_not_announced(gateway_db: Database) -> None:
    with gateway_db.transaction() as connection:
        outbox.add(connection, Message(b"{}", QUEUE))
        connection.rollback()
    assert ids(gateway_db) == []


def test_a_message_committed_after_one_with_a_higher_row_id_is_relayed(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    relay()
    with gateway_db.transaction() as connection:
        outbox.add(connection, Message(b"{}", "", EXCHANGE, "slow/0", mandatory=False), "slow")
        add(gateway_db, "fast/0")
        wait_until(lambda: taken(channel) == ["fast/0"], SECONDS, "the one committed first")
    wait_until_all_is_sent(gateway_db)
    assert taken(channel) == ["slow/0"]


def test_a_refused_message_delays_only_its_aggregate_until_it_is_accepted(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    add(gateway_db, "a/0", "b/0")
    add(gateway_db, "a/1", **to_queue(LATER))
    add(gateway_db, "a/2", "b/1", "loose")
    relay()
    wait_until(lambda: len(waiting(gateway_db)) == 2, SECONDS, "all but two")
    add(gateway_db, "b/2", "a/3")
    wait_until(lambda: len(waiting(gateway_db)) == 3, SECONDS, "what came later")
    wait_until(lambda: attempts(gateway_db)["a/1"] > 2, SECONDS, "more attempts")
    assert waiting(gateway_db) == ["a/1", "a/2", "a/3"]
    assert attempts(gateway_db)["a/2"] == 0
    assert sorted(taken(channel)) == ["a/0", "b/0", "b/1", "b/2", "loose"]
    channel.queue_declare(LATER, durable=True, arguments=declarations.QUORUM)
    wait_until_all_is_sent(gateway_db)
    assert taken(channel, LATER) == ["a/1"]
    assert taken(channel) == ["a/2", "a/3"]


def test_a_refused_message_also_delays_its_aggregate_in_later_batches(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    add(gateway_db, "a/0", **to_queue(LATER))
    add(gateway_db, *(f"loose-{number}" for number in range(BATCH)))
    add(gateway_db, "a/1", "b/0")
    relay()
    wait_until(lambda: len(waiting(gateway_db)) == 2, SECONDS, "all but two")
    assert waiting(gateway_db) == ["a/0", "a/1"]


def test_many_unroutable_messages_delay_no_other(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    refused = [f"refused-{number}" for number in range(BATCH + 1)]
    add(gateway_db, *refused, **to_queue(LATER))
    add(gateway_db, "behind")
    relay()
    wait_until(lambda: taken(channel) == ["behind"], SECONDS, "the message behind them")
    add(gateway_db, "after")
    wait_until(lambda: taken(channel) == ["after"], SECONDS, "the message after them")
    wait_until(lambda: waiting(gateway_db) == refused, SECONDS, "nothing but them to be left")


def test_a_full_queue_delays_messages_and_keeps_their_order(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    limits = {"x-max-length": 4, "x-overflow": "reject-publish"}
    channel.queue_declare(LATER, durable=True, arguments=declarations.QUORUM | limits)
    channel.queue_bind(LATER, EXCHANGE)
    for number in range(20):
        add(gateway_db, f"a/{number}", f"b/{number}", f"c/{number}")
    relay()
    arrived: list[str] = []

    def all_have_arrived() -> bool:
        arrived.extend(taken(channel, LATER))
        return not waiting(gateway_db)

    wait_until(lambda: max(attempts(gateway_db).values()) > 2, SECONDS, "refusals")
    wait_until(all_have_arrived, 2 * SECONDS, "an empty outbox")
    arrived.extend(taken(channel, LATER))
    assert first_arrivals(arrived) == {name: numbered(name, 20) for name in "abc"}


def test_an_unpublishable_message_delays_no_other(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    add(gateway_db, "a/0", routing_key="x" * 256)
    add(gateway_db, "a/1", "b/0", "b/1")
    relay()
    wait_until(lambda: len(waiting(gateway_db)) == 2, SECONDS, "the others")
    assert waiting(gateway_db) == ["a/0", "a/1"]
    assert taken(channel) == ["b/0", "b/1"]


def test_a_message_to_a_missing_exchange_delays_no_other(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    add(gateway_db, "a/0", "loose-0")
    add(gateway_db, "lost/0", exchange="no-such-exchange")
    add(gateway_db, "lost/1", "a/1", *(f"loose-{number}" for number in range(1, 50)))
    relay()
    wait_until(lambda: len(waiting(gateway_db)) == 2, SECONDS, "the others")
    assert waiting(gateway_db) == ["lost/0", "lost/1"]
    assert first_arrivals(taken(channel))["a"] == numbered("a", 2)


def test_without_the_broker_a_message_is_retried_at_growing_intervals(
    gateway_db: Database,
    bound: None,
    linked_relay: Callable[[], object],
    link: Link,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING", "chassis.outbox.dispatcher")
    with link.cut():
        linked_relay()
        add(gateway_db, "a/0", "a/1", "loose")
        wait_until(lambda: attempts(gateway_db)["a/0"] >= 5, SECONDS, "five attempts")
        add(gateway_db, "new")
        wait_until(lambda: attempts(gateway_db)["new"] >= 1, SECONDS, "an attempt of the new one")
        counted = attempts(gateway_db)
    wait_until_all_is_sent(gateway_db)
    assert counted["a/1"] == 0
    assert counted["loose"] >= 5
    assert attempts(gateway_db)["a/1"] == 1
    said = [vars(record) for record in caplog.records if "waits" in record.message]
    assert all("RabbitMQ is" in line["reason"] for line in said)
    for number, line in enumerate(said[:5]):
        assert 0.7 * 0.1 * 2**number < line["seconds"] < 1.3 * 0.1 * 2**number
    # one line for each try, and none for the message that came in between
    assert len(said) <= attempts(gateway_db)["loose"]


def test_without_the_broker_one_batch_is_tried_and_not_the_whole_backlog(
    gateway_db: Database, bound: None, linked_relay: Callable[[], object], link: Link
) -> None:
    add(gateway_db, *(f"loose-{number}" for number in range(BATCH + 50)))
    with link.cut():
        linked_relay()
        wait_until(lambda: max(attempts(gateway_db).values()) >= 4, SECONDS, "four tries")
        assert sum(count > 0 for count in attempts(gateway_db).values()) == BATCH
    wait_until_all_is_sent(gateway_db)


def test_backlog_and_lag_are_right_while_the_broker_is_unavailable_and_after(
    gateway_db: Database, bound: None, linked_relay: Callable[[], object], link: Link
) -> None:
    def measured(name: str) -> float:
        return REGISTRY.get_sample_value(name) or 0.0

    def wait_for_neither() -> None:
        # the relay sets one after the other
        gauges = ("outbox_backlog", "outbox_lag_seconds")
        wait_until(lambda: not any(map(measured, gauges)), SECONDS, "neither backlog nor lag")

    linked_relay()
    wait_for_neither()
    with link.cut():
        add(gateway_db, "a/0", "a/1")
        wait_until(lambda: measured("outbox_backlog") == 2, SECONDS, "a backlog of two")
        lag = measured("outbox_lag_seconds")
        add(gateway_db, "a/2")
        wait_until(lambda: measured("outbox_backlog") == 3, SECONDS, "a backlog of three")
        wait_until(lambda: measured("outbox_lag_seconds") > lag + 1, SECONDS, "more lag")
    wait_until_all_is_sent(gateway_db)
    wait_for_neither()


def test_a_broker_killed_under_load_costs_neither_messages_nor_their_order(
    gateway_db: Database,
    bound: None,
    relay: Callable[[], object],
    rabbitmq: RabbitMQ,
    broker_settings: BrokerSettings,
) -> None:
    for number in range(30):
        add(gateway_db, *(f"{aggregate}/{number}" for aggregate in range(20)))
    keep_queues(rabbitmq)
    relay()
    wait_until(lambda: len(waiting(gateway_db)) < 550, SECONDS, "some to be sent", poll=0.005)
    rabbitmq.kill()
    # the relay may have sent all of the others before the kill
    add(gateway_db, *(f"{aggregate}/30" for aggregate in range(20)))
    rabbitmq.start()
    wait_until_all_is_sent(gateway_db)
    arrived = first_arrivals(taken_anew(broker_settings))
    assert arrived == {str(number): numbered(str(number), 31) for number in range(20)}


def test_an_overdue_confirm_is_given_up(
    gateway_db: Database,
    channel: BlockingChannel,
    relay: Callable[..., None],
    rabbitmq: RabbitMQ,
) -> None:
    relay(confirm_seconds=0.5)
    add(gateway_db, "a/0")
    wait_until_all_is_sent(gateway_db)
    with frozen(rabbitmq):
        add(gateway_db, "a/1", "a/2", "a/3")
        wait_until(lambda: attempts(gateway_db)["a/1"] > 1, SECONDS, "a second attempt")
        assert attempts(gateway_db)["a/2"] == 0
    wait_until_all_is_sent(gateway_db)
    assert first_arrivals(taken(channel)) == {"a": numbered("a", 4)}


def test_a_second_relay_stands_by_and_takes_over_when_the_first_ends(
    database: DatabaseSettings,
    broker_settings: BrokerSettings,
    gateway_db: Database,
    channel: BlockingChannel,
    relay: Callable[[], object],
) -> None:
    with at_work(partial(relay_until, database, broker_settings, TOPOLOGY)):
        wait_until(lambda: len(lock_holders(gateway_db)) == 1, SECONDS, "the first to be active")
        holders = lock_holders(gateway_db)
        relay()
        add(gateway_db, "a/0")
        wait_until_all_is_sent(gateway_db)
        assert lock_holders(gateway_db) == holders
    add(gateway_db, "a/1")
    wait_until_all_is_sent(gateway_db)
    assert taken(channel) == ["a/0", "a/1"]


def lock_holders(database: Database) -> list[int]:
    """The sessions of the relays that are active: one, or none for a moment."""
    statement = (
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with database.autocommit() as connection:
        return list(connection.execute(text(statement)).scalars())


def test_a_killed_relay_is_replaced_and_costs_neither_messages_nor_their_order(
    gateway_db: Database, channel: BlockingChannel, processes: Callable[[], BaseProcess]
) -> None:
    active = processes()
    wait_until(lambda: bool(lock_holders(gateway_db)), SECONDS, "the first to be active")
    for _ in range(2):
        standing_by = processes()
        before = len(ids(gateway_db))
        for number in range(before // 20, before // 20 + 25):
            add(gateway_db, *(f"{aggregate}/{number}" for aggregate in range(20)))
        wait_until(lambda: len(waiting(gateway_db)) < 450, SECONDS, "some to be sent", poll=0.005)
        active.kill()
        active = standing_by
        wait_until_all_is_sent(gateway_db)
    arrived = first_arrivals(taken(channel))
    assert arrived == {str(number): numbered(str(number), 50) for number in range(20)}


def test_relays_whose_database_sessions_are_terminated_go_on(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    relay()
    relay()
    for round_ in range(3):
        wait_until(lambda: bool(lock_holders(gateway_db)), SECONDS, "one to be active")
        for number in range(round_ * 10, round_ * 10 + 10):
            add(gateway_db, *(f"{aggregate}/{number}" for aggregate in range(20)))
        with gateway_db.autocommit() as connection:
            for pid in lock_holders(gateway_db):
                connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        wait_until_all_is_sent(gateway_db)
    arrived = first_arrivals(taken(channel))
    assert arrived == {str(number): numbered(str(number), 30) for number in range(20)}


def test_an_idle_relay_whose_session_is_terminated_goes_on(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    relay()
    add(gateway_db, "a/0")
    wait_until_all_is_sent(gateway_db)
    wait_until(lambda: is_idle(gateway_db), SECONDS, "the relay to rest")
    with gateway_db.autocommit() as connection:
        for pid in lock_holders(gateway_db):
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    add(gateway_db, "a/1")
    wait_until_all_is_sent(gateway_db)
    assert taken(channel) == ["a/0", "a/1"]


def is_idle(database: Database) -> bool:
    """Whether the active relay has asked for nothing for a while."""
    statement = (
        "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(:pids) AND state = 'idle' "
        "AND clock_timestamp() - state_change > interval '0.2 s'"
    )
    with database.autocommit() as connection:
        pids = lock_holders(database)
        return bool(connection.execute(text(statement), {"pids": pids}).scalar_one())


def test_messages_of_one_statement_keep_their_own_values_and_their_order(
    gateway_db: Database,
) -> None:
    alike = Message(b"{}", "key", EXCHANGE, "id-1", {"n": 1}, mandatory=False)
    unlike = [
        [alike, replace(alike, id="id-2", body=b"\x00\xff", headers={})],
        [alike, replace(alike, mandatory=True, content_type="text/plain")],
        [replace(alike, id=str(n), exchange="", routing_key=f"key-{n}") for n in range(12)],
        [replace(alike, id=str(n), exchange="'{}\\\"") for n in range(12)],
    ]
    expected: list[tuple[Message, str | None]] = []
    for messages, names in product([[alike], *unlike], (None, ["a", "b"], ["c"])):
        own = None if names is None else [names[n % len(names)] for n in range(len(messages))]
        with gateway_db.transaction() as connection:
            outbox.add_all(connection, messages, own)
        of_each: Sequence[str | None] = own or [None] * len(messages)
        expected += zip(messages, of_each, strict=True)
    with gateway_db.autocommit() as connection:
        found = new_messages(connection, Page(1000, 1_000_000), False)
    assert [(row.message, row.aggregate) for row in found] == expected


def test_a_page_of_large_messages_is_short(gateway_db: Database) -> None:
    add(gateway_db, *(f"large-{number}" for number in range(10)), body=b"x" * 100_000)
    with gateway_db.autocommit() as connection:
        assert len(new_messages(connection, Page(100, 250_000), False)) == 3
        assert len(new_messages(connection, Page(2, 250_000), False)) == 2
        assert len(new_messages(connection, Page(100, 1), False)) == 1


def test_an_urgent_message_overtakes_all_waiting_messages(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    others = add_others(gateway_db, 3 * BATCH)
    add(gateway_db, "order/0", "order/1", urgent=True)
    relay()
    wait_until_all_is_sent(gateway_db)
    arrived = taken(channel)
    assert arrived[0] == "order/0"
    # the second waits for the confirm of the first, while one window of the others is on its way
    assert arrived.index("order/1") <= BATCH + 1
    assert sorted(arrived) == sorted([*others, "order/0", "order/1"])


def test_an_urgent_message_overtakes_many_that_are_being_relayed(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    count = 20 * BATCH
    add_others(gateway_db, count)
    relay()
    wait_until(lambda: bool(ids(gateway_db, "sent_at IS NOT NULL")), SECONDS, "some to be sent")
    add(gateway_db, "order/0", urgent=True)
    is_sent = "message_id = 'order/0' AND sent_at IS NOT NULL"
    wait_until(lambda: bool(ids(gateway_db, is_sent)), SECONDS, "the urgent one to be sent")
    assert waiting(gateway_db)


def test_many_urgent_messages_do_not_starve_the_others(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    add(gateway_db, *(f"order-{number}" for number in range(3 * BATCH)), urgent=True)
    add(gateway_db, "other/0")
    relay()
    wait_until_all_is_sent(gateway_db)
    assert "other/0" in taken(channel)[: 2 * BATCH]


def test_unroutable_urgent_messages_delay_no_other(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    refused = [f"refused-{number}" for number in range(2 * BATCH)]
    add(gateway_db, *refused, **to_queue(LATER), urgent=True)
    add(gateway_db, "other/0")
    add(gateway_db, "order/0", urgent=True)
    relay()
    wait_until(lambda: waiting(gateway_db) == refused, SECONDS, "nothing but them to be left")
    assert sorted(taken(channel)) == ["order/0", "other/0"]


def test_failed_urgent_messages_overtake_other_failed_ones(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    add_others(gateway_db, 2 * BATCH)
    add(gateway_db, "order/0", urgent=True)
    with gateway_db.transaction() as connection:
        connection.execute(text("UPDATE outbox SET attempts = 1"))
    relay()
    wait_until_all_is_sent(gateway_db)
    assert taken(channel)[0] == "order/0"


def test_an_urgent_message_does_not_overtake_an_earlier_one_of_its_aggregate(
    gateway_db: Database, channel: BlockingChannel, relay: Callable[[], object]
) -> None:
    """The version before has written the earlier one, and knew nothing of urgent messages."""
    add_others(gateway_db, 2 * BATCH)
    for aggregate in "abc":
        add(gateway_db, *numbered(aggregate, 3))
        add(gateway_db, f"{aggregate}/3", f"{aggregate}/4", urgent=True)
    relay()
    wait_until_all_is_sent(gateway_db)
    arrived = first_arrivals(taken(channel))
    assert {name: arrived[name] for name in "abc"} == {name: numbered(name, 5) for name in "abc"}


@pytest.mark.parametrize("urgent", [True, False])
def test_messages_wait_in_the_order_of_an_index(urgent: bool, gateway_db: Database) -> None:
    """Else each look would sort all that waits, while new messages come."""
    add_others(gateway_db, 3 * BATCH)
    with gateway_db.transaction() as connection:
        for setting in ("seqscan", "bitmapscan", "sort"):
            connection.execute(text(f"SET LOCAL enable_{setting} = off"))
        with statements_of(connection) as looks:
            new_messages(connection, Page(BATCH, 8_000_000), urgent, [1], ["a"])
            retryable(connection, Page(BATCH, 8_000_000), urgent, 7)
        for look in looks:
            plan = plan_of(connection, look)
            assert "Index Scan using outbox_unsent" in plan
            assert "(urgent = " in plan
            # what is limited comes in order; the page itself may be sorted
            assert "Sort" not in plan.partition("Limit")[2]
    assert len(looks) == 2


TOPICS = "relay-test-topics"


def test_a_message_that_ends_the_connection_fails_no_other(
    gateway_db: Database,
    channel: BlockingChannel,
    relay: Callable[[], object],
    rabbitmq: RabbitMQ,
    broker_settings: BrokerSettings,
) -> None:
    """RabbitMQ ends the channel for a topic that the user has no right to."""
    channel.exchange_declare(TOPICS, "topic", durable=True)
    channel.queue_bind(QUEUE, TOPICS, "#")
    user = (broker_settings.user, TOPICS)
    rabbitmq.control("set_topic_permissions", "-p", "billing_vhost", *user, "^allowed", ".*")
    forbidden = ["a/1", "b/1", "lone"]
    for number in range(60):
        add(gateway_db, f"good-{number}", exchange=TOPICS, routing_key="allowed")
    add(gateway_db, "a/0", "c/0")
    for name in forbidden:
        add(gateway_db, name, exchange=TOPICS, routing_key="forbidden")
    add(gateway_db, "a/2", "b/2", "c/1")
    for number in range(60, 120):
        add(gateway_db, f"good-{number}", exchange=TOPICS, routing_key="allowed")
    relay()
    held = ["a/1", "b/1", "lone", "a/2", "b/2"]
    wait_until(lambda: waiting(gateway_db) == held, SECONDS, "nothing but those to be left")
    add(gateway_db, "later-0", "later-1", "c/2")
    wait_until(lambda: waiting(gateway_db) == held, SECONDS, "what came later to be sent")
    rabbitmq.control("clear_topic_permissions", "-p", "billing_vhost", broker_settings.user)
    wait_until_all_is_sent(gateway_db)
    arrived = first_arrivals(taken(channel))
    assert len(arrived.pop("")) == 120 + 3
    assert arrived == {"a": numbered("a", 3), "b": ["b/1", "b/2"], "c": numbered("c", 3)}
    channel.exchange_delete(TOPICS)


def test_a_relay_that_waits_for_a_lock_is_not_ready_and_goes_on_after_it(
    gateway_db: Database,
    database: DatabaseSettings,
    broker_settings: BrokerSettings,
    channel: BlockingChannel,
) -> None:
    stop = threading.Event()
    with closing(Publisher(broker_settings, "test relay", TOPOLOGY)) as publisher:
        publisher.start()
        relay = Relay(database, publisher, stop)
        thread = threading.Thread(target=relay.run)
        thread.start()
        try:
            add(gateway_db, "a/0")
            wait_until_all_is_sent(gateway_db)
            with gateway_db.transaction() as connection:
                connection.execute(text("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE"))
                wait_until(lambda: not is_ready(relay), SECONDS, "the relay not to be ready")
                outbox.add(connection, Message(b"{}", "", EXCHANGE, "a/1", mandatory=False), "a")
            wait_until_all_is_sent(gateway_db)
            assert is_ready(relay)
        finally:
            stop.set()
            thread.join()
    assert taken(channel) == ["a/0", "a/1"]


def is_ready(relay: Relay) -> bool:
    """Whether a relay says that it can work."""
    try:
        relay.check()
    except ConnectionError:
        return False
    return True


def test_after_a_crash_that_lost_the_last_marks_first_arrivals_are_in_order(
    gateway_db: Database, relay: Callable[..., object], channel: BlockingChannel
) -> None:
    names = [name for pair in zip(numbered("a", 6), numbered("b", 6), strict=True) for name in pair]
    add(gateway_db, *names)
    relay()
    wait_until_all_is_sent(gateway_db)
    add(gateway_db, "a/6", "b/6")
    with gateway_db.transaction() as connection:
        # the marks are not flushed; what a crash takes is the end of the log
        lost = "UPDATE outbox SET sent_at = NULL, attempts = 0 WHERE message_id ~ '/[345]$'"
        connection.execute(text(lost))
    wait_until(lambda: not waiting(gateway_db), SECONDS, "all to be sent, some again")
    arrived = taken(channel)
    assert first_arrivals(arrived) == {"a": numbered("a", 7), "b": numbered("b", 7)}
    assert {name for name in arrived if arrived.count(name) > 1} >= {"a/3", "b/5"}
