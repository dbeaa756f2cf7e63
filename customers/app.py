"""The application factory of customers-api."""

from flask import Flask

from chassis.http import app as web
from chassis.http.keyed_posts import KeyedPosts
from chassis.messaging.declarations import of_exchange
from chassis.messaging.publisher import Publisher
from chassis.outbox import table as outbox
from chassis.outbox.synchronous import SynchronousPublisher
from chassis.storage.database import Database
from customers.customers import Customers
from customers.events import EXCHANGE
from customers.routes import customer_routes
from customers.settings import Settings

PROCESS = "customers-api"


def create_app(settings: Settings, publisher: Publisher | None = None) -> Flask:
    """Build the HTTP application of customers.

    Args:
        settings: of customers.
        publisher: a started one for strict mode; without it, events go through the outbox.
    """
    database = Database(settings.database, settings.server.threads)
    announce = SynchronousPublisher(publisher).publish if publisher else outbox.add
    customers = Customers(announce)
    return web.create_app(
        PROCESS,
        ready=[database, publisher] if publisher else [database],
        routes=[customer_routes(name, database, customers) for name in ("customers", "clients")],
        keys=KeyedPosts(database, {"clients": "customers"}),
    )


def create_publisher(settings: Settings, name: str) -> Publisher:
    """Start a publisher that declares the exchange and its binding when it connects.

    Its `publish` waits as long as a synchronous change may.
    """
    timeout = settings.events.event_publish_timeout_seconds
    topology = of_exchange(EXCHANGE, settings.broker)
    publisher = Publisher(settings.broker, name, topology, timeout)
    publisher.start()
    return publisher
