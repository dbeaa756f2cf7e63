"""The gateway's application factory."""

from flask import Flask

from chassis.http import app as web
from chassis.http import health
from chassis.http.keyed_posts import KeyedPosts
from chassis.http.upstream import IN_FLIGHT, UpstreamClient
from chassis.messaging.publisher import Publisher
from chassis.messaging.topology import Queue, dead_letter_queue
from chassis.storage.database import Database
from gateway.auth import guard as auth
from gateway.auth.guard import Guard
from gateway.auth.tokens import Tokens
from gateway.bills import BillDesk
from gateway.edge import cors, hosts, request_checks
from gateway.edge.forwarded import Clients
from gateway.edge.rate_limit import Limiter
from gateway.edge.slow_bodies import Bodies
from gateway.event_routes import event_routes
from gateway.order_details import OrderDetails
from gateway.pages.docs import docs_routes
from gateway.pages.routes import page_routes
from gateway.proxy import Proxy
from gateway.routes import bill_routes, detail_routes, passed_on
from gateway.settings import Settings
from gateway.status.routes import status_routes
from gateway.status.snapshot import Sources
from gateway.status.watcher import Watcher

PROCESS = "gateway"
# most threads wait for upstreams; two workers and the relay leave PostgreSQL's others to others
DATABASE_CONNECTIONS = 16


def create_app(settings: Settings, publisher: Publisher) -> Flask:
    """Build the gateway's HTTP application on a started publisher."""
    database = Database(settings.database, DATABASE_CONNECTIONS)
    tokens = Tokens(database, settings.auth.api_token)
    limiter = Limiter(settings.edge.reads, settings.edge.writes, settings.counters)
    guard = Guard(settings.auth.auth_protected, tokens, limiter)
    # none may take all threads, however few there are
    at_once = min(IN_FLIGHT, max(1, settings.server.threads // 2))
    inventory = UpstreamClient(settings.inventory, at_once)
    billing = UpstreamClient(settings.billing, at_once)
    customers = UpstreamClient(settings.customers, at_once)
    orders = UpstreamClient(settings.orders, at_once)
    details = OrderDetails(orders, inventory, customers, billing)
    bills = BillDesk(publisher, database)
    platform, broker = settings.platform, settings.broker
    watch = Watcher(Sources(platform, broker, settings.orders, settings.billing, [database]))
    routes = [
        guard.over("movies", passed_on("movies", Proxy(inventory))),
        guard.over("products", passed_on("products", Proxy(inventory))),
        guard.over("products", passed_on("produits", Proxy(inventory))),
        guard.over("customers", passed_on("customers", Proxy(customers))),
        guard.over("customers", passed_on("clients", Proxy(customers))),
        guard.over("orders", detail_routes("orders", details, guard, Proxy(orders))),
        guard.over("orders", detail_routes("commandes", details, guard, Proxy(orders))),
        guard.over("orders", passed_on("orders", Proxy(orders))),
        guard.over("orders", passed_on("commandes", Proxy(orders))),
        guard.over("billing", bill_routes(bills, settings.broker.queue, Proxy(billing))),
        guard.over("events", event_routes("events", database)),
        guard.over("events", event_routes("event", database)),
        limiter.over("pages", status_routes(watch, guard)),
        limiter.over(
            "pages", docs_routes(settings.docs.swagger_ui_dir, settings.auth.auth_protected)
        ),
        limiter.over("pages", page_routes(lambda: watch.summary(guard.shows_platform()))),
    ]
    health_routes = (
        health.live_routes(PROCESS),
        limiter.over("platform", health.ready_routes(PROCESS, [database], guard.shows_platform)),
        guard.over("platform", health.metrics_routes([database])),
    )
    app = web.create_app(
        PROCESS,
        ready=[database],
        routes=routes,
        health_routes=health_routes,
        keys=KeyedPosts(database, {"event": "events"}, auth.caller_scope),
    )
    return edged(app, settings)


def edged(app: Flask, settings: Settings) -> Flask:
    """Return `app` with what stands before all of its routes."""
    app.before_request(request_checks.check)
    hosts.init_app(app, settings.edge.allowed_hosts, settings.address)
    app.after_request(auth.keep_private)
    cors.init_app(app, settings.edge.cors_origins)
    bodies = Bodies(app.wsgi_app, max(1, settings.server.threads // 8))
    app.wsgi_app = Clients(bodies, settings.edge.proxies)  # type: ignore[method-assign]
    return app


def bill_topology(settings: Settings) -> list[Queue]:
    """Return what has to be there for bills: billing_queue and its dead letters."""
    queue = settings.broker.queue
    return [Queue(queue), Queue(dead_letter_queue(queue))]


def create_publisher(settings: Settings, name: str) -> Publisher:
    """Start a publisher of bills."""
    publisher = Publisher(settings.broker, name, bill_topology(settings))
    publisher.start()
    return publisher
