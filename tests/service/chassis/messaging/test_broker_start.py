"""A private broker that runs, and does not serve: what notices it, and what a start makes of it."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from provisioning.rabbitmq import queues
from tools.stack import status
from tools.stack.layout import CHECKOUT
from tools.stack.lifecycle import serves
from tools.stack.servers.rabbitmq import RabbitMQ

Break = Callable[[RabbitMQ], object]


def _state_by_script(rabbitmq: RabbitMQ) -> tuple[int, list[str]]:
    """What provisioning finds out: the exit status, and the names of dead queues."""
    user, password = rabbitmq.credentials
    done = subprocess.run(
        [sys.executable, "-S", "-m", "provisioning.rabbitmq.queues"],
        cwd=CHECKOUT,
        env={
            "PATH": os.environ["PATH"],
            "RABBITMQ_USER": user,
            "RABBITMQ_PASSWORD": password,
            "RABBITMQ_VHOST": rabbitmq.vhost,
            "RABBITMQ_MANAGEMENT_PORT": str(rabbitmq.management_port),
        },
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("harm", "end", "state"),
    [
        (RabbitMQ.stop_queues, RabbitMQ.kill, queues.DEAD),
        (
            lambda rabbitmq: rabbitmq.control("delete_vhost", rabbitmq.vhost),
            RabbitMQ.stop,
            queues.NO_VHOST,
        ),
    ],
    ids=["queues-dead", "vhost-deleted"],
)
def test_a_broker_without_living_queues_does_not_serve_until_it_is_started_again(
    rabbitmq: RabbitMQ, harm: Break, end: Break, state: int
) -> None:
    assert (serves(rabbitmq), _state_by_script(rabbitmq)) == (True, (0, []))
    assert status._state(rabbitmq) == "up"
    harm(rabbitmq)
    try:
        assert not serves(rabbitmq)
        found, dead = _state_by_script(rabbitmq)
        assert found == state
        assert ("billing_queue" in dead) == (state == queues.DEAD)
        assert status._state(rabbitmq).startswith("up, but queues are dead")
        if state == queues.DEAD:
            assert ("billing_queue", "dead") in status._queue_rows(rabbitmq)
    finally:
        end(rabbitmq)
        rabbitmq.start()
    assert (serves(rabbitmq), _state_by_script(rabbitmq)) == (True, (0, []))
