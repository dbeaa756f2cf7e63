"""Bills that wait in a queue of a former name: they are told of, and moved."""

import json
from collections.abc import Iterator

import pika
import pytest
from click.testing import CliRunner
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import SecretStr

from chassis.messaging import drain_command
from chassis.settings import BrokerSettings
from tests.support.amqp import channel_with_empty, connect
from tools.stack import status
from tools.stack.servers.rabbitmq import RabbitMQ

FORMER, TODAY = "bills-before", "bills-today"
QUEUES = (FORMER, f"{FORMER}.dlq", TODAY, f"{TODAY}.dlq")


@pytest.fixture
def channel(broker_settings: BrokerSettings) -> Iterator[BlockingChannel]:
    """A channel with empty queues of both names."""
    with channel_with_empty(broker_settings, *QUEUES) as channel:
        yield channel
        for name in QUEUES:
            channel.queue_delete(name)


def drain(settings: BrokerSettings, queue: str) -> tuple[int, str]:
    """Run the command; its exit status and what it said."""
    command = drain_command.command(lambda: settings.for_queue(TODAY))
    done = CliRunner().invoke(command, [queue])
    return done.exit_code, done.output


def test_messages_under_a_former_name_are_reported_and_moved_unchanged(
    broker_settings: BrokerSettings, channel: BlockingChannel, rabbitmq: RabbitMQ
) -> None:
    for number in range(40):
        given = pika.BasicProperties(
            message_id=f"m{number}", headers={"X-Request-ID": "r"}, app_id="a", delivery_mode=2
        )
        channel.basic_publish("", FORMER, json.dumps(number).encode(), given)
    channel.basic_publish("", f"{FORMER}.dlq", b"dead", pika.BasicProperties(message_id="d"))
    rabbitmq_of_today = RabbitMQ(
        rabbitmq.home,
        host=rabbitmq.host,
        port=rabbitmq.port,
        management_port=rabbitmq.management_port,
        user=rabbitmq.credentials[0],
        password=rabbitmq.credentials[1],
        vhost=rabbitmq.vhost,
        queue=TODAY,
    )
    [told] = [said for said in status.stranded(rabbitmq_of_today) if FORMER in said]
    assert told.startswith(f"41 messages wait in {FORMER}, which no service consumes")
    assert f"./stack run billing drain {FORMER}" in told
    assert drain(broker_settings, FORMER) == (0, "moved 41\n")
    for number in range(40):
        _method, properties, body = channel.basic_get(TODAY, auto_ack=True)
        assert properties is not None and body is not None
        assert (properties.message_id, json.loads(body)) == (f"m{number}", number)
        assert properties.headers is not None
        assert (properties.headers["X-Request-ID"], properties.app_id) == ("r", "a")
    _method, properties, body = channel.basic_get(f"{TODAY}.dlq", auto_ack=True)
    assert (properties and properties.message_id, body) == ("d", b"dead")
    assert not [said for said in status.stranded(rabbitmq_of_today) if FORMER in said]
    assert drain(broker_settings, FORMER) == (0, "moved 0\n")


def test_a_message_that_names_another_user_is_moved(
    broker_settings: BrokerSettings, channel: BlockingChannel, rabbitmq: RabbitMQ
) -> None:
    rabbitmq.control("add_user", "somebody", "secret")
    rabbitmq.control("set_permissions", "-p", rabbitmq.vhost, "somebody", ".*", ".*", ".*")
    update = {"user": "somebody", "password": SecretStr("secret")}
    try:
        with connect(broker_settings.model_copy(update=update)) as connection:
            given = pika.BasicProperties(message_id="m", user_id="somebody", delivery_mode=1)
            others = connection.channel()
            others.confirm_delivery()
            others.basic_publish("", FORMER, b"1", given)
        assert drain(broker_settings, FORMER) == (0, "moved 1\n")
    finally:
        rabbitmq.control("delete_user", "somebody")
    _method, properties, body = channel.basic_get(TODAY, auto_ack=True)
    assert properties is not None
    assert (properties.message_id, body) == ("m", b"1")
    assert (properties.user_id, properties.delivery_mode) == (None, 2)


def test_a_missing_queue_or_one_in_use_is_not_drained(
    broker_settings: BrokerSettings, channel: BlockingChannel
) -> None:
    assert drain(broker_settings, "nosuch") == (1, "Error: there is no queue nosuch\n")
    assert drain(broker_settings, TODAY)[0] == 1
    channel.basic_consume(FORMER, lambda *_delivery: None)
    assert drain(broker_settings, FORMER) == (
        1,
        f"Error: {FORMER} has a consumer: it is in use\n",
    )
