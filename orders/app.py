"""The application factory of orders-api."""

from flask import Blueprint, Flask, Response, jsonify

from chassis import VERSION, health, web
from chassis.database import Database
from chassis.keyed_posts import KeyedPosts
from chassis.service_client import ServiceClient, share_of
from orders import customer_check
from orders.customer_check import CustomerCheck
from orders.desk import Desk
from orders.orders import Orders
from orders.routes import PROCESS, order_routes
from orders.settings import Settings


def create_app(settings: Settings) -> Flask:
    """Build the HTTP application of orders."""
    database = Database(settings.database, settings.server.threads)
    in_flight = share_of(settings.server.threads)
    inventory = ServiceClient(settings.inventory, in_flight)
    customers = ServiceClient(settings.customers, in_flight, customer_check.SECONDS)
    desk = Desk(Orders(database), inventory, CustomerCheck(database, customers))
    routes = [order_routes(name, desk) for name in ("orders", "commandes")]
    return web.create_app(
        PROCESS,
        ready=[database],
        routes=[_home(database), *routes],
        keys=KeyedPosts(database, {"commandes": "orders"}),
    )


def _home(database: Database) -> Blueprint:
    """Return `/`, which says what this is."""
    routes = Blueprint("home", __name__)

    @routes.get("/")
    def describe() -> Response:
        return jsonify(name=PROCESS, version=VERSION, health=health.report([database]))

    return routes
