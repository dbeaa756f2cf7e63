"""A PostgreSQL with a standby: when that is promoted, all goes on, and no process is restarted.

The first server may be gone, or hang: then nothing tells its clients that it is of no use.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from functools import partial
from uuid import UUID, uuid4

import pika
import pytest
from flask.testing import FlaskClient
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from chassis.outbox import relay as chassis_relay
from chassis.storage import database, migrations
from chassis.storage.database import Database
from inventory import consumer, relay
from inventory.app import create_app
from inventory.settings import Settings
from tests.support.amqp import channel_with_empty
from tests.support.at_work import at_work
from tests.support.databases import settings_of
from tests.support.mailing import eventually
from tests.support.outages import frozen
from tests.support.products_api import create
from tests.support.replication import Primary, replicated
from tests.support.reservations import CREATED, EXCHANGE, QUEUE, order, states
from tests.support.servers import DATABASES, PASSWORD
from tests.support.settings import NOWHERE, port

SECONDS = 60.0


@pytest.fixture
def channel(inventory_settings: Settings) -> Iterator[BlockingChannel]:
    """A channel beside the consumer's; its queue is there, and empty."""
    with channel_with_empty(inventory_settings.broker, QUEUE) as channel:
        channel.exchange_declare(EXCHANGE, "topic", durable=True)
        channel.queue_bind(QUEUE, EXCHANGE, CREATED)
        yield channel


def ordered(channel: BlockingChannel, product: int) -> UUID:
    """Have orders tell of an order."""
    message = order(CREATED, uid := uuid4(), [(product, 1)])
    properties = pika.BasicProperties(message_id=message.id, delivery_mode=2)
    channel.basic_publish(EXCHANGE, CREATED, message.body, properties)
    return uid


def is_told(used: Database, *uids: UUID) -> bool:
    """Whether the orders are reserved, no other one is, and all events are sent."""
    statement = text("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
    try:
        with used.autocommit() as connection:
            unsent = connection.execute(statement).scalar_one()
        return states(used) == dict.fromkeys(uids, "reserved") and not unsent
    except OperationalError:
        # what has not heard of the change yet
        return False


def is_ready(api: FlaskClient) -> bool:
    """Whether the API says that it is."""
    return api.get("/ready").status_code == 200


def takes_movies(api: FlaskClient) -> bool:
    """Whether the API creates a movie."""
    return api.post("/api/movies", json={"title": "M"}).status_code == 201


@contextmanager
def gone(primary: Primary) -> Iterator[None]:
    """Have a server away, for good."""
    primary.stop()
    yield


@pytest.mark.parametrize("primary_away", [gone, frozen])
def test_when_the_standby_is_promoted_api_consumer_and_relay_go_on_without_a_restart(
    primary_away: Callable[[Primary], AbstractContextManager[None]],
    inventory_settings: Settings,
    channel: BlockingChannel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 2)
    for module, name in ((database, "ANSWER_SECONDS"), (chassis_relay, "_ANSWER_SECONDS")):
        monkeypatch.setattr(module, name, 3.0)
    with replicated() as (primary, standby):
        primary.create_database(*DATABASES["inventory"], PASSWORD)
        migrations.upgrade("inventory", settings_of("inventory", str(primary.port)))
        standby.start()
        both = settings_of("inventory", f"{primary.port},{standby.port}")
        settings = replace(inventory_settings, database=both, port=port(), relay_port=port())
        api = create_app(replace(settings, broker=NOWHERE)).test_client()
        work = (partial(consumer.run, settings), partial(relay.run, settings))
        with closing(Database(both, 1)) as used, at_work(*work):
            product = create(api, "Metropolis", stock=5)["id"]
            first = ordered(channel, product)
            eventually(lambda: states(used) == {first: "reserved"}, "a reservation", SECONDS)
            copy = Database(settings_of("inventory", str(standby.port)), 1)
            eventually(lambda: is_told(copy, first), "all to be sent and copied", SECONDS)
            copy.close()
            with primary_away(primary):
                assert api.get("/ready").status_code == 503
                second = ordered(channel, product)
                standby.promote()
                ready = partial(is_ready, api)
                eventually(ready, "the API to be ready", SECONDS)
                eventually(lambda: is_told(used, first, second), "the second one", SECONDS)
                # who asks first, on a connection that hangs, is answered that it is unavailable
                eventually(partial(takes_movies, api), "the API to take a movie", SECONDS)
                eventually(lambda: is_told(used, first, second), "all to be sent", SECONDS)
                assert api.get(f"/api/products/{product}").get_json()["stock"] == 3
