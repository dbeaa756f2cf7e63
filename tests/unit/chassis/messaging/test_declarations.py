"""What has to exist before a queue is consumed or an exchange is published to."""

from dataclasses import replace

import pytest

from billing.handlers.order_cancelled import REACTIONS as BILLING
from chassis.errors import SettingsError
from chassis.messaging.declarations import (
    DIRECT,
    Binding,
    Exchange,
    FormerBinding,
    Queue,
    check_reactions,
    of_exchange,
    of_queue,
    unused_bindings,
)
from chassis.messaging.event_handler import EventHandler
from chassis.storage.database import Database
from chassis.topology import Queue as Known
from chassis.topology_file import read_topology
from inventory import consumer as inventory
from orders import consumer as orders
from orders.mail.worker import MailHandler
from tests.support.databases import settings_of
from tests.support.settings import NOWHERE

BROKER = NOWHERE.for_queue("bills of ours")
DATABASE = Database(settings_of("orders", "1"))


def test_a_queue_comes_with_its_dead_letters_its_exchanges_and_its_bindings() -> None:
    assert list(of_queue("billing_inbox", BROKER)) == [
        Queue("billing_inbox"),
        Queue("billing_inbox.dlq"),
        Exchange("order_events", "topic"),
        Binding("billing_inbox", "order_events", "order.cancelled"),
    ]


def test_a_variable_names_the_queue_of_bills() -> None:
    parts = [Queue("bills of ours"), Queue("bills of ours.dlq")]
    assert list(of_queue("billing_queue", BROKER)) == parts


def test_who_consumes_a_queue_removes_its_former_bindings_and_who_publishes_does_not() -> None:
    former = FormerBinding("orders_inbox", "billing_events", "bill.recorded")
    assert former in of_queue("orders_inbox", BROKER)
    assert list(of_exchange("billing_events", BROKER)) == [
        Exchange("billing_events", "topic"),
        Queue("orders_inbox"),
        Queue("orders_inbox.dlq"),
        Binding("orders_inbox", "billing_events", "bill.voided"),
    ]


def test_the_queue_that_takes_over_is_bound_before_a_former_binding_is_removed() -> None:
    parts = list(of_queue("orders_inbox", BROKER))
    now = Binding("customer_replica_inbox", "customer_events", "#")
    former = FormerBinding("orders_inbox", "customer_events", "#")
    assert parts.index(Queue("customer_replica_inbox")) < parts.index(now) < parts.index(former)


def test_an_exchange_comes_with_every_queue_that_is_bound_to_it() -> None:
    parts = list(of_exchange("order_events", BROKER))
    inboxes = ("inventory_inbox", "billing_inbox", "mail_inbox")
    queues = {part.name for part in parts if isinstance(part, Queue)}
    assert queues == {name + end for name in inboxes for end in ("", ".dlq")}
    # a queue that nobody consumes has no dead letters
    assert list(of_exchange("events", BROKER))[1:] == [
        Queue("events_queue"), Binding("events_queue", "events", "#")
    ]  # fmt: skip


HANDLERS = {
    "inventory_inbox": inventory.create_handler(DATABASE),
    "billing_inbox": EventHandler(DATABASE, "billing-consumer", BILLING),
    "orders_inbox": orders.handler(DATABASE),
    "customer_replica_inbox": orders.replica_handler(DATABASE),
    "mail_inbox": MailHandler(DATABASE),
}
BINDINGS = [
    (name, binding) for name in HANDLERS for binding in read_topology().queue(name).bindings
]


@pytest.mark.parametrize("queue", HANDLERS)
def test_each_queue_gets_what_its_service_reacts_to_and_nothing_else(queue: str) -> None:
    known, reactions = read_topology().queue(queue), HANDLERS[queue].exchanges
    check_reactions(known, reactions)
    assert not unused_bindings(known, reactions)


@pytest.mark.parametrize(("queue", "binding"), BINDINGS)
def test_no_binding_can_be_left_out(queue: str, binding: tuple[str, str]) -> None:
    known = read_topology().queue(queue)
    left = replace(known, bindings=tuple(one for one in known.bindings if one != binding))
    with pytest.raises(SettingsError, match=f"{queue}: no binding brings .* from {binding[0]}"):
        check_reactions(left, HANDLERS[queue].exchanges)


def queue_with(*bindings: tuple[str, str]) -> Known:
    """A queue with these bindings."""
    return Known("things", None, bindings, (), None)


THINGS = {"thing.made": "events", "thing.lost": "events"}


@pytest.mark.parametrize(
    ("bindings", "faults"),
    [
        ([("events", "thing.made")], ["thing.lost"]),
        ([("events", "*.made.*")], ["thing.made", "thing.lost"]),
        ([("events", "thing")], ["thing.made", "thing.lost"]),
        ([("customer_events", "#"), ("order_events", "thing.*")], ["thing.made", "thing.lost"]),
        ([], ["thing.made", "thing.lost"]),
    ],
)
def test_reactions_without_a_binding_are_named(
    bindings: list[tuple[str, str]], faults: list[str]
) -> None:
    with pytest.raises(SettingsError) as raised:
        check_reactions(queue_with(*bindings), THINGS)
    named = ", ".join(f"no binding brings {type} from events" for type in faults)
    assert str(raised.value) == f"topology.yml: things: {named}"


def test_bindings_without_a_reaction_are_named() -> None:
    bindings = [("events", "thing.*"), ("events", "other.#"), ("customer_events", "#")]
    unused = ["other.# of events", "# of customer_events"]
    assert unused_bindings(queue_with(*bindings), THINGS) == unused


@pytest.mark.parametrize(
    "keys",
    [["thing.made", "thing.lost"], ["thing.*"], ["#"], ["thing.#"], ["#.made", "#.thing.#.lost"]],
)
def test_wildcards_bring_what_they_match(keys: list[str]) -> None:
    check_reactions(queue_with(*(("events", key) for key in keys)), THINGS)


def test_a_hash_matches_no_word_too_and_a_star_exactly_one() -> None:
    check_reactions(queue_with(("events", "thing.#")), {"thing": "events"})
    with pytest.raises(SettingsError, match="no binding brings thing from events"):
        check_reactions(queue_with(("events", "thing.*")), {"thing": "events"})


def test_a_fanout_exchange_heeds_no_key() -> None:
    check_reactions(queue_with(("customer_events", "nothing")), {"thing": "customer_events"})


def test_what_is_sent_directly_needs_no_binding() -> None:
    check_reactions(queue_with(), {"thing.made": DIRECT})
