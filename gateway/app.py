"""The gateway's application factory."""

from flask import Flask

from chassis import web
from chassis.broker import Queue, Topology, dead_letter_queue
from chassis.database import Database
from chassis.publisher import Publisher
from gateway.bills import BillDesk
from gateway.event_routes import event_routes
from gateway.proxy import Proxy
from gateway.routes import bill_routes, passed_on
from gateway.settings import Settings

PROCESS = "gateway"


def create_app(settings: Settings, publisher: Publisher) -> Flask:
    """Build the gateway's HTTP application on a started publisher."""
    database = Database(settings.database, settings.server.threads)
    inventory = Proxy(settings.inventory, settings.server.threads)
    billing = Proxy(settings.billing, settings.server.threads)
    customers = Proxy(settings.customers, settings.server.threads)
    routes = [
        passed_on("movies", "/api/movies", inventory),
        passed_on("customers", "/api/customers", customers),
        passed_on("clients", "/api/clients", customers),
        bill_routes(BillDesk(publisher, database), settings.broker.queue, billing),
        event_routes("events", "/api/events", database),
        event_routes("event", "/api/event", database),
    ]
    return web.create_app(PROCESS, ready=[database], routes=routes)


def create_publisher(settings: Settings, name: str, more: Topology = ()) -> Publisher:
    """Start a publisher that finds billing_queue and `more` there, or makes them."""
    queue = settings.broker.queue
    topology = [Queue(queue), Queue(dead_letter_queue(queue)), *more]
    publisher = Publisher(settings.broker, name, topology)
    publisher.start()
    return publisher
