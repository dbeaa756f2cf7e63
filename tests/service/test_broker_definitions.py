"""What a real broker makes of the definitions."""

import json
from typing import Any

import pytest

from local.rabbitmq import RabbitMQ

COLUMNS = ("name", "type", "policy")


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
    bounds = {"max-length": 1_000_000, "overflow": "drop-head"}
    assert policies["newest-events"].items() >= bounds.items()


def test_billing_queue_has_dead_letters_and_no_bounds(
    queues: dict[str, dict[str, Any]], policies: dict[str, dict[str, Any]]
) -> None:
    assert queues["billing_queue"]["policy"] == "dead-letters"
    said = policies["dead-letters"]
    assert said["dead-letter-routing-key"] == "billing_queue.dlq"
    assert "max-length" not in said


def test_the_exchanges_are_durable_and_all_events_go_to_events_queue(rabbitmq: RabbitMQ) -> None:
    found = rabbitmq.ask("/api/exchanges/billing_vhost").json()
    kinds = {e["name"]: (e["type"], e["durable"]) for e in found}
    assert kinds["customer_events"] == ("fanout", True)
    assert kinds["events"] == ("topic", True)
    bindings = rabbitmq.ask("/api/exchanges/billing_vhost/events/bindings/source").json()
    assert [(b["destination"], b["routing_key"]) for b in bindings] == [("events_queue", "#")]


def test_a_user_of_ours_that_is_no_longer_named_goes_and_one_made_by_hand_stays(
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
