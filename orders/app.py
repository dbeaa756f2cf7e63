"""The application factory of orders-api."""

from flask import Blueprint, Flask, Response, jsonify

from chassis import VERSION
from chassis.http import app as web
from chassis.http import health
from chassis.http.client import ServiceClient, share_of
from chassis.http.keyed_posts import KeyedPosts
from chassis.storage.database import Database
from orders.customer_replica import check as customer_check
from orders.customer_replica.check import CustomerCheck
from orders.ordering import Ordering
from orders.routes import PROCESS, order_routes
from orders.settings import Settings


def create_app(settings: Settings) -> Flask:
    """Build the HTTP application of orders."""
    database = Database(settings.database, settings.server.threads)
    in_flight = share_of(settings.server.threads)
    inventory = ServiceClient(settings.inventory, in_flight)
    customers = ServiceClient(settings.customers, in_flight, customer_check.SECONDS)
    ordering = Ordering(database, inventory, CustomerCheck(database, customers))
    routes = [order_routes(name, ordering) for name in ("orders", "commandes")]
    return web.create_app(
        PROCESS,
        ready=[database],
        routes=[_home(database), *routes],
        keys=KeyedPosts(database, {"commandes": "orders"}),
    )


def _home(database: Database) -> Blueprint:
    """Return `/`, which describes the service."""
    routes = Blueprint("home", __name__)

    @routes.get("/")
    def describe() -> Response:
        return jsonify(name=PROCESS, version=VERSION, health=health.report([database]))

    return routes
