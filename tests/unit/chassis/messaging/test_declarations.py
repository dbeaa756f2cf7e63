"""What has to exist before a queue is consumed or an exchange is published to."""

from collections.abc import Collection

import pytest

from billing.handlers.order_cancelled import REACTIONS as BILLING
from chassis.errors import SettingsError
from chassis.messaging.declarations import (
    Binding,
    Exchange,
    FormerBinding,
    Queue,
    check_reactions,
    of_exchange,
    of_queue,
)
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


def test_an_exchange_comes_with_every_queue_that_is_bound_to_it() -> None:
    parts = list(of_exchange("order_events", BROKER))
    inboxes = ("inventory_inbox", "billing_inbox", "mail_inbox")
    queues = {part.name for part in parts if isinstance(part, Queue)}
    assert queues == {name + end for name in inboxes for end in ("", ".dlq")}
    # a queue that nobody consumes has no dead letters
    assert list(of_exchange("events", BROKER))[1:] == [
        Queue("events_queue"), Binding("events_queue", "events", "#")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("queue", "types"),
    [
        ("inventory_inbox", inventory.create_handler(DATABASE).types),
        ("billing_inbox", BILLING),
        ("orders_inbox", orders.handler(DATABASE).types),
        ("mail_inbox", MailHandler(DATABASE).types),
    ],
)
def test_each_queue_gets_what_its_service_reacts_to(queue: str, types: Collection[str]) -> None:
    check_reactions(read_topology().queue(queue), types)


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        (["thing.made"], "no binding brings thing.lost"),
        (["thing.made", "thing.lost", "thing.found"], "nothing reacts to thing.found"),
        (["thing.*", "other.*"], "nothing reacts to other.*"),
        (["*.made.*"], "no binding brings thing.made, no binding brings thing.lost, nothing"),
        ([], "no binding brings thing.made, no binding brings thing.lost"),
    ],
)
def test_reactions_and_bindings_that_do_not_fit_are_named(keys: list[str], fault: str) -> None:
    queue = Known("things", None, tuple(("events", key) for key in keys), (), None)
    with pytest.raises(SettingsError) as raised:
        check_reactions(queue, ["thing.made", "thing.lost"])
    assert str(raised.value).startswith(f"topology.yml: things: {fault}")


@pytest.mark.parametrize("keys", [["thing.made", "thing.lost"], ["thing.*"], ["#"], ["thing.#"]])
def test_wildcards_bring_what_they_match(keys: list[str]) -> None:
    queue = Known("things", None, tuple(("events", key) for key in keys), (), None)
    check_reactions(queue, ["thing.made", "thing.lost"])
