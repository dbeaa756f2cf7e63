"""What a real broker makes of the definitions."""

import json
from typing import Any

import pytest
from pika.exceptions import ChannelClosedByBroker

from provisioning.rabbitmq.definitions import DEFAULT_QUEUE_TYPE_SINCE, consumed_queues
from tools.stack import status
from tools.stack.servers.amqp import connect
from tools.stack.servers.rabbitmq import RabbitMQ
from tools.stack.status import queue_depths
from tools.stack.waiting import wait_until

COLUMNS = ("name", "type", "policy")
SECONDS = 60.0


@pytest.fixture(scope="module")
def queues(rabbitmq: RabbitMQ) -> dict[str, dict[str, Any]]:
    """The broker's queues by name, each with the one policy that is in effect on it."""
    said = rabbitmq.control("list_queues", "-p", rabbitmq.vhost, *COLUMNS, "--formatter", "json")
    return {queue["name"]: queue for queue in json.loads(said)}


@pytest.fixture(scope="module")
def policies(rabbitmq: RabbitMQ) -> dict[str, dict[str, Any]]:
    """What the broker's policies say, by name."""
    said = rabbitmq.control("list_policies", "-p", rabbitmq.vhost, "--formatter", "json")
    return {policy["name"]: json.loads(policy["definition"]) for policy in json.loads(said)}


def test_events_queue_is_bounded_and_loses_the_oldest(
    queues: dict[str, dict[str, Any]], policies: dict[str, dict[str, Any]]
) -> None:
    queue = queues["events_queue"]
    assert (queue["type"], queue["policy"]) == ("quorum", "newest-events")
    bounds = {"max-length": 1_000_000, "max-length-bytes": 2**30, "overflow": "drop-head"}
    assert policies["newest-events"].items() >= bounds.items()


@pytest.mark.parametrize("name", consumed_queues("billing_queue"))
def test_a_consumed_queue_has_dead_letters_and_no_limits(
    queues: dict[str, dict[str, Any]], policies: dict[str, dict[str, Any]], name: str
) -> None:
    assert queues[name]["type"] == queues[f"{name}.dlq"]["type"] == "quorum"
    said = policies[queues[name]["policy"]]
    assert said["dead-letter-routing-key"] == f"{name}.dlq"
    assert not {"max-length", "max-length-bytes"} & said.keys()


def test_the_exchanges_are_durable_and_all_events_go_to_events_queue(rabbitmq: RabbitMQ) -> None:
    found = rabbitmq.ask("/api/exchanges/billing_vhost").json()
    kinds = {e["name"]: (e["type"], e["durable"]) for e in found}
    assert kinds["customer_events"] == ("fanout", True)
    assert kinds["events"] == ("topic", True)
    bindings = rabbitmq.ask("/api/exchanges/billing_vhost/events/bindings/source").json()
    assert [(b["destination"], b["routing_key"]) for b in bindings] == [("events_queue", "#")]


@pytest.fixture
def as_defined(rabbitmq: RabbitMQ) -> None:
    """What is defined is there again, whatever other tests have deleted."""
    rabbitmq.control("import_definitions", str(rabbitmq.home / "definitions.json"))


@pytest.mark.usefixtures("as_defined")
def test_an_event_is_only_in_the_queues_of_its_consumers(
    rabbitmq: RabbitMQ,
) -> None:
    consumers = ("inventory", "orders", "billing", "mail", "customer_replica")
    names = [f"{consumer}_inbox" for consumer in consumers]
    with connect(rabbitmq) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for name in names:
            channel.queue_purge(name)
        for exchange, key in (
            ("order_events", "order.created"),
            ("order_events", "order.completed"),
            ("order_events", "order.cancelled"),
            ("inventory_events", "stock.reserved"),
            ("inventory_events", "product.updated"),
            ("billing_events", "bill.recorded"),
            ("customer_events", "customer.deleted"),
        ):
            channel.basic_publish(exchange, key, b"{}")
        expected = dict(zip(names, ["3", "1", "1", "3", "1"], strict=True))
        try:
            # a queue that does not answer at once counts as empty
            wait_until(
                lambda: queue_depths(rabbitmq, [*names, "nosuch"]) == expected,
                SECONDS,
                f"{expected} to wait",
            )
        finally:
            for name in names:
                channel.queue_purge(name)


def test_only_existing_dead_letters_are_shown(rabbitmq: RabbitMQ) -> None:
    consumed = consumed_queues("billing_queue")
    with connect(rabbitmq) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for name in consumed:
            channel.queue_purge(f"{name}.dlq")
        assert [name for name, _ in status._queue_rows(rabbitmq)] == [*consumed, "events_queue"]
        channel.basic_publish("", "mail_inbox.dlq", b"{}")
        wait_until(
            lambda: status._queue_rows(rabbitmq)[-1] == ("mail_inbox.dlq", "1"),
            SECONDS,
            "the dead letter to be shown",
        )
        channel.queue_purge("mail_inbox.dlq")


def test_a_former_user_is_removed_and_one_made_by_hand_stays(
    rabbitmq: RabbitMQ,
) -> None:
    for name, tags in (("former", ["management", "crud-master"]), ("by hand", ["management"])):
        rabbitmq.control("add_user", name, "a password")
        rabbitmq.control("set_user_tags", name, *tags)
    try:
        rabbitmq.remove_former_users()
        said = json.loads(rabbitmq.control("list_users", "--formatter", "json"))
        assert {user["user"] for user in said} == {"rabbitmq_user", "by hand"}
    finally:
        rabbitmq.control("delete_user", "by hand")


def declared(rabbitmq: RabbitMQ, name: str, **given: Any) -> int:
    """What the broker answers to a declaration of a queue: 200, or why it closes the channel."""
    with connect(rabbitmq) as connection:
        try:
            connection.channel().queue_declare(name, **given)
        except ChannelClosedByBroker as refusal:
            return int(refusal.reply_code)
        return 200


@pytest.mark.parametrize("name", [*consumed_queues("billing_queue"), "events_queue"])
def test_a_client_can_declare_a_queue_as_docs_messages_says(rabbitmq: RabbitMQ, name: str) -> None:
    quorum = {"x-queue-type": "quorum"}
    assert declared(rabbitmq, name, passive=True) == 200
    assert declared(rabbitmq, name, durable=True, arguments=quorum) == 200
    plain = declared(rabbitmq, name, durable=True)
    version = rabbitmq.ask("/api/overview").json()["rabbitmq_version"]
    has_default_type = tuple(map(int, version.split(".")[:2])) >= DEFAULT_QUEUE_TYPE_SINCE
    assert plain == (200 if has_default_type else 406)
