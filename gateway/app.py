"""The gateway's application factory."""

from flask import Flask

from chassis import web
from chassis.broker import Queue, dead_letter_queue
from chassis.database import Database
from chassis.publisher import Publisher
from gateway.auth import Guard
from gateway.bills import BillDesk
from gateway.docs import docs_routes
from gateway.event_routes import event_routes
from gateway.pages import page_routes
from gateway.proxy import Proxy
from gateway.routes import bill_routes, passed_on
from gateway.settings import Settings
from gateway.tokens import Tokens
from gateway.watch.routes import status_routes
from gateway.watch.survey import Places
from gateway.watch.watch import Watch

PROCESS = "gateway"


def create_app(settings: Settings, publisher: Publisher) -> Flask:
    """Build the gateway's HTTP application on a started publisher."""
    database = Database(settings.database, settings.server.threads)
    guard = Guard(settings.auth.auth_protected, Tokens(database, settings.auth.api_token))
    connections = settings.server.threads
    inventory = Proxy(settings.inventory, connections)
    billing = Proxy(settings.billing, connections)
    customers = Proxy(settings.customers, connections)
    orders = Proxy(settings.orders, connections)
    bills = BillDesk(publisher, database)
    platform, broker = settings.platform, settings.broker
    watch = Watch(Places(platform, broker, settings.orders, settings.billing, [database]))
    routes = [
        guard.over("movies", passed_on("movies", inventory)),
        guard.over("products", passed_on("products", inventory)),
        guard.over("products", passed_on("produits", inventory)),
        guard.over("customers", passed_on("customers", customers)),
        guard.over("customers", passed_on("clients", customers)),
        guard.over("orders", passed_on("orders", orders)),
        guard.over("orders", passed_on("commandes", orders)),
        guard.over("billing", bill_routes(bills, settings.broker.queue, billing)),
        guard.over("events", event_routes("events", database)),
        guard.over("events", event_routes("event", database)),
        status_routes(watch, guard),
        docs_routes(settings.docs.swagger_ui_dir),
        page_routes(watch.summary),
    ]
    return web.create_app(PROCESS, ready=[database], routes=routes)


def bill_topology(settings: Settings) -> list[Queue]:
    """Return what has to be there for bills: billing_queue and its dead letters."""
    queue = settings.broker.queue
    return [Queue(queue), Queue(dead_letter_queue(queue))]


def create_publisher(settings: Settings, name: str) -> Publisher:
    """Start a publisher of bills."""
    publisher = Publisher(settings.broker, name, bill_topology(settings))
    publisher.start()
    return publisher
