"""RabbitMQ's definitions, made from the variables."""

import base64
import hashlib
import json
import re
import subprocess
import sys

import pytest

from local.layout import CHECKOUT
from provisioning.rabbitmq.definitions import definitions, password_hash

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
    assert made["users"][0]["tags"] == ["management"]
    assert [(p["user"], p["vhost"]) for p in made["permissions"]] == [
        ("rabbitmq_user", "billing_vhost")
    ]


@pytest.mark.parametrize(
    ("version", "quorum", "limit"),
    [("3.9.13", False, False), ("3.11.0", True, False), ("4.0.5", True, True)],
)
def test_settings_appear_from_the_version_on_that_knows_them(
    version: str, quorum: bool, limit: bool
) -> None:
    made = definitions(VARIABLES, version)
    assert (made["vhosts"][0].get("default_queue_type") == "quorum") is quorum
    limits = [policy["definition"].get("delivery-limit") for policy in made["policies"]]
    assert set(limits) == ({-1} if limit else {None})


def test_only_the_queue_itself_has_a_dead_letter_policy() -> None:
    policy = definitions(VARIABLES | {"RABBITMQ_QUEUE": "a.queue"}, "3.10.8")["policies"][0]
    matching = [n for n in ("a.queue", "a.queue.dlq", "aXqueue") if re.search(policy["pattern"], n)]
    assert matching == ["a.queue"]
    assert policy["definition"]["dead-letter-routing-key"] == "a.queue.dlq"


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(KeyError, match="RABBITMQ_VHOST"):
        definitions({k: v for k, v in VARIABLES.items() if k != "RABBITMQ_VHOST"}, "4.0.5")


def test_the_script_runs_on_a_bare_python() -> None:
    script = CHECKOUT / "provisioning" / "rabbitmq" / "definitions.py"
    command = [sys.executable, "-I", "-S", str(script), "4.0.5"]
    done = subprocess.run(command, env=VARIABLES, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == definitions(VARIABLES, "4.0.5")
