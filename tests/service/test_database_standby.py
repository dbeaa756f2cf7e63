"""A PostgreSQL with a standby: when that is promoted, all goes on, and no process is restarted."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from uuid import UUID, uuid4

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from chassis import broker, migrations
from chassis.database import Database
from inventory import consumer, relay
from inventory.app import create_app
from inventory.settings import Settings
from tests.at_work import at_work
from tests.conftest import DATABASES, PASSWORD
from tests.service.amqp import connect
from tests.service.conftest import NOWHERE, port
from tests.service.databases import settings_of
from tests.service.mailing import eventually
from tests.service.products_api import create
from tests.service.replication import replicated
from tests.service.reservations import CREATED, EXCHANGE, QUEUE, order, states

SECONDS = 60.0


@pytest.fixture
def channel(inventory_settings: Settings) -> Iterator[BlockingChannel]:
    """A channel beside the consumer's; its queue is there, and empty."""
    with connect(inventory_settings.broker) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.exchange_declare(EXCHANGE, "topic", durable=True)
        channel.queue_declare(QUEUE, durable=True, arguments=broker.QUORUM)
        channel.queue_purge(QUEUE)
        channel.queue_bind(QUEUE, EXCHANGE, CREATED)
        yield channel


def ordered(channel: BlockingChannel, product: int) -> UUID:
    """Have orders tell of an order."""
    message = order(CREATED, uid := uuid4(), [(product, 1)])
    properties = pika.BasicProperties(message_id=message.id, delivery_mode=2)
    channel.basic_publish(EXCHANGE, CREATED, message.body, properties)
    return uid


def unsent(database: Database) -> int:
    """How many events the relay has not delivered yet."""
    with database.read() as connection:
        statement = text("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
        return int(connection.execute(statement).scalar_one())


def test_when_the_standby_is_promoted_api_consumer_and_relay_go_on_without_a_restart(
    inventory_settings: Settings, channel: BlockingChannel
) -> None:
    with replicated() as (primary, standby):
        primary.create_database(*DATABASES["inventory"], PASSWORD)
        migrations.upgrade("inventory", settings_of("inventory", str(primary.port)))
        standby.start()
        both = settings_of("inventory", f"{primary.port},{standby.port}")
        settings = replace(inventory_settings, database=both, port=port(), relay_port=port())
        api = create_app(replace(settings, broker=NOWHERE)).test_client()
        work = (partial(consumer.run, settings), partial(relay.run, settings))
        with closing(Database(both, 1)) as database, at_work(*work):
            product = create(api, "Metropolis", stock=5)["id"]
            first = ordered(channel, product)
            eventually(lambda: states(database) == {first: "reserved"}, "a reservation", SECONDS)
            eventually(lambda: unsent(database) == 0, "its event to be sent", SECONDS)
            primary.stop()
            assert api.get("/ready").status_code == 503
            second = ordered(channel, product)
            standby.promote()
            eventually(lambda: api.get("/ready").status_code == 200, "the API to be ready", SECONDS)
            both_reserved = {first: "reserved", second: "reserved"}
            eventually(lambda: states(database) == both_reserved, "the second one", SECONDS)
            assert api.post("/api/movies", json={"title": "M"}).status_code == 201
            eventually(lambda: unsent(database) == 0, "all events to be sent", SECONDS)
            assert api.get(f"/api/products/{product}").get_json()["stock"] == 3
