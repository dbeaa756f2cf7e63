"""RabbitMQ's definitions, made from the variables."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chassis.messaging.declarations import Binding, Exchange, Queue, of_exchange, of_queue
from provisioning.rabbitmq.definitions import OUR_TAG, Definitions, definitions, password_hash
from provisioning.rabbitmq.former_users import former_users
from provisioning.rabbitmq.queues import dead_queues
from tests.support.settings import NOWHERE
from tools.stack.layout import CHECKOUT, TOPOLOGY

CONSUMED = (
    *("billing_queue", "order_bills", "inventory_inbox", "orders_inbox"),
    *("customer_replica_inbox", "billing_inbox", "mail_inbox"),
)
VARIABLES = {
    "RABBITMQ_USER": "rabbitmq_user",
    "RABBITMQ_PASSWORD": "rabbitmq_password",
    "RABBITMQ_VHOST": "billing_vhost",
    "RABBITMQ_QUEUE": "billing_queue",
}


def test_a_second_run_makes_the_same_definitions() -> None:
    assert definitions(VARIABLES, "4.0.5") == definitions(VARIABLES, "4.0.5")


def test_the_password_is_hashed_as_rabbitmq_hashes_it() -> None:
    decoded = base64.b64decode(password_hash("user", "påssword"))
    salt, digest = decoded[:4], decoded[4:]
    assert digest == hashlib.sha256(salt + "påssword".encode()).digest()


def test_the_password_itself_is_not_in_the_definitions() -> None:
    assert "rabbitmq_password" not in json.dumps(definitions(VARIABLES, "3.12.1"))


def test_two_users_with_one_password_have_different_hashes() -> None:
    assert password_hash("one", "password") != password_hash("two", "password")


def test_there_is_one_user_who_sees_one_vhost_and_no_guest() -> None:
    made = definitions(VARIABLES, "3.10.8")
    assert [user["name"] for user in made["users"]] == ["rabbitmq_user"]
    assert made["users"][0]["tags"] == ["management", OUR_TAG]
    assert [(p["user"], p["vhost"]) for p in made["permissions"]] == [
        ("rabbitmq_user", "billing_vhost")
    ]


@pytest.mark.parametrize(
    ("version", "quorum", "limit"),
    [("3.9.13", False, False), ("3.11.0", True, False), ("4.0.5", True, True)],
)
def test_a_setting_appears_from_its_first_version_on(
    version: str, quorum: bool, limit: bool
) -> None:
    made = definitions(VARIABLES, version)
    assert (made["vhosts"][0].get("default_queue_type") == "quorum") is quorum
    limits = [policy["definition"].get("delivery-limit") for policy in made["policies"]]
    assert set(limits) == ({-1} if limit else {None})


def effective(made: Definitions, queue: str) -> dict[str, object]:
    """What the one policy that applies to a queue says; nothing if none applies."""
    matching = [p for p in made["policies"] if re.search(p["pattern"], queue)]
    if not matching:
        return {}
    highest = max(policy["priority"] for policy in matching)
    [applied] = [policy for policy in matching if policy["priority"] == highest]
    definition: dict[str, object] = applied["definition"]
    return definition


@pytest.mark.parametrize("queue", CONSUMED)
def test_only_a_queue_that_is_consumed_has_a_dead_letter_policy(queue: str) -> None:
    made = definitions(VARIABLES, "3.10.8")
    for other in (f"{queue}.dlq", f"my_{queue}", "events_queue"):
        assert "dead-letter-routing-key" not in effective(made, other)
    assert effective(made, queue)["dead-letter-routing-key"] == f"{queue}.dlq"


def test_a_queue_with_a_dot_in_its_name_shares_its_policy_with_no_other() -> None:
    made = definitions(VARIABLES | {"RABBITMQ_QUEUE": "a.queue"}, "3.10.8")
    assert "dead-letter-routing-key" not in effective(made, "aXqueue")
    assert effective(made, "a.queue")["dead-letter-routing-key"] == "a.queue.dlq"


def test_no_two_policies_have_one_name() -> None:
    names = [policy["name"] for policy in definitions(VARIABLES, "4.0.5")["policies"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("version", ["3.9.13", "4.0.5"])
def test_only_events_queue_is_bounded_and_loses_the_oldest(version: str) -> None:
    made = definitions(VARIABLES, version)
    bounds = {"max-length": 1_000_000, "max-length-bytes": 2**30, "overflow": "drop-head"}
    assert effective(made, "events_queue").items() >= bounds.items()
    for other in (*CONSUMED, "billing_queue.dlq", "my_events_queue"):
        assert not {"max-length", "max-length-bytes"} & effective(made, other).keys()


@pytest.mark.parametrize("queue", [*CONSUMED, "billing_queue.dlq", "events_queue", "another"])
def test_no_queue_has_a_delivery_limit_where_the_release_has_one_by_default(queue: str) -> None:
    assert effective(definitions(VARIABLES, "4.0.5"), queue)["delivery-limit"] == -1
    assert "delivery-limit" not in effective(definitions(VARIABLES, "3.10.8"), queue)


def test_all_queues_are_durable_quorum_queues_and_all_exchanges_durable() -> None:
    made = definitions(VARIABLES, "3.10.8")
    consumed = [name + end for name in CONSUMED for end in ("", ".dlq")]
    assert [q["name"] for q in made["queues"]] == [*consumed, "events_queue"]
    assert {q["arguments"]["x-queue-type"] for q in made["queues"]} == {"quorum"}
    kinds = {e["name"]: e["type"] for e in made["exchanges"]}
    topics = ("order_events", "inventory_events", "billing_events", "events")
    assert kinds == {"customer_events": "fanout", **dict.fromkeys(topics, "topic")}
    assert all(thing["durable"] for thing in made["queues"] + made["exchanges"])


def test_events_queue_gets_all_of_the_events_and_nothing_else() -> None:
    assert bound(definitions(VARIABLES, "3.10.8"), "events_queue") == {("events", "#")}


def bound(made: Definitions, queue: str) -> set[tuple[str, str]]:
    """Exchange and routing key of all that a queue is bound to."""
    bindings = [b for b in made["bindings"] if b["destination"] == queue]
    assert {b["destination_type"] for b in bindings} <= {"queue"}
    return {(b["source"], b["routing_key"]) for b in bindings}


@pytest.mark.parametrize("queue", CONSUMED)
def test_the_definitions_have_everything_that_consumers_declare(queue: str) -> None:
    made = definitions(VARIABLES, "4.0.5")
    parts = list(of_queue(queue, NOWHERE.for_queue("billing_queue")))
    queues = {part.name for part in parts if isinstance(part, Queue)}
    # also those that take over from its former bindings
    assert {queue, f"{queue}.dlq"} <= queues <= {q["name"] for q in made["queues"]}
    exchanges = {part.name: part.kind for part in parts if isinstance(part, Exchange)}
    assert exchanges.items() <= {e["name"]: e["type"] for e in made["exchanges"]}.items()
    bindings = [part for part in parts if type(part) is Binding and part.queue == queue]
    assert {(b.exchange, b.routing_key) for b in bindings} == bound(made, queue)


@pytest.mark.parametrize("exchange", TOPOLOGY.exchanges)
def test_the_definitions_have_everything_that_publishers_declare(exchange: str) -> None:
    made = definitions(VARIABLES, "4.0.5")
    parts = list(of_exchange(exchange, NOWHERE))
    queues = {part.name for part in parts if isinstance(part, Queue)}
    assert queues <= {q["name"] for q in made["queues"]}
    bindings = [part for part in parts if type(part) is Binding]
    declared = {(b.exchange, b.queue, b.routing_key) for b in bindings}
    bound = {(b["source"], b["destination"], b["routing_key"]) for b in made["bindings"]}
    assert declared == {binding for binding in bound if binding[0] == exchange}
    assert {b.queue for b in bindings} <= queues


def test_only_former_users_of_the_platform_are_listed() -> None:
    listing = [
        {"user": "rabbitmq_user", "tags": ["management", OUR_TAG]},
        {"user": "old name", "tags": ["management", OUR_TAG]},
        {"user": "by hand", "tags": ["administrator"]},
        {"user": "without tags", "tags": []},
    ]
    assert former_users(json.dumps(listing), "rabbitmq_user") == ["old name"]


@pytest.fixture
def bare(tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """How to run a module as on a machine: Python and PyYAML, and the variables for that."""
    (tmp_path / "yaml").symlink_to(Path(yaml.__file__).parent)
    return [sys.executable, "-B", "-S", "-m"], {"PYTHONPATH": str(tmp_path)}


def test_the_script_for_former_users_runs_on_a_bare_python(
    bare: tuple[list[str], dict[str, str]],
) -> None:
    python, environment = bare
    listing = json.dumps(definitions(VARIABLES, "4.0.5")["users"]).replace('"name"', '"user"')
    done = subprocess.run(
        [*python, "provisioning.rabbitmq.former_users"],
        cwd=CHECKOUT,
        env={**environment, "RABBITMQ_USER": "new_user"},
        input=listing,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "rabbitmq_user\n"


def test_a_quorum_queue_without_a_leader_is_dead() -> None:
    listing = [
        {"name": "alive", "type": "quorum", "leader": "rabbit@here"},
        {"name": "dead", "type": "quorum", "leader": None},
        {"name": "dead as well", "type": "quorum"},
        {"name": "no quorum", "type": "classic"},
    ]
    assert dead_queues(json.dumps(listing)) == ["dead", "dead as well"]


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(KeyError, match="RABBITMQ_VHOST"):
        definitions({k: v for k, v in VARIABLES.items() if k != "RABBITMQ_VHOST"}, "4.0.5")


def test_the_script_runs_on_a_bare_python(bare: tuple[list[str], dict[str, str]]) -> None:
    python, environment = bare
    done = subprocess.run(
        [*python, "provisioning.rabbitmq.definitions", "4.0.5"],
        cwd=CHECKOUT,
        env=environment | VARIABLES,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == definitions(VARIABLES, "4.0.5")
