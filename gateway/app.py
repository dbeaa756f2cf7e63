"""The gateway's application factory."""

from flask import Flask

from chassis import web
from chassis.broker import Queue, dead_letter_queue
from chassis.database import Database
from chassis.publisher import Publisher
from gateway.bills import BillDesk
from gateway.proxy import Proxy
from gateway.routes import bill_routes, passed_on
from gateway.settings import Settings

PROCESS = "gateway"


def create_app(settings: Settings, publisher: Publisher) -> Flask:
    """Build the gateway's HTTP application on a started publisher."""
    database = Database(settings.database, settings.server.threads)
    inventory = Proxy(settings.inventory, settings.server.threads)
    billing = Proxy(settings.billing, settings.server.threads)
    routes = [
        passed_on("movies", "/api/movies", inventory),
        bill_routes(BillDesk(publisher, database), settings.broker.queue, billing),
    ]
    return web.create_app(PROCESS, ready=[database], routes=routes)


def create_publisher(settings: Settings, name: str) -> Publisher:
    """Start a publisher that finds billing_queue there, or makes it."""
    queue = settings.broker.queue
    topology = [Queue(queue), Queue(dead_letter_queue(queue))]
    publisher = Publisher(settings.broker, name, topology)
    publisher.start()
    return publisher
