"""The gateway's application factory."""

from flask import Flask

from chassis.http import app as web
from chassis.http import health
from chassis.http.keyed_posts import KeyedPosts
from chassis.http.upstream import IN_FLIGHT, UpstreamClient
from chassis.messaging.declarations import of_queue
from chassis.messaging.publisher import Publisher
from chassis.storage.database import Database
from gateway.auth import guard as auth
from gateway.auth.guard import Guard
from gateway.auth.tokens import Tokens
from gateway.bills import BillIntake
from gateway.cache import setup as caching
from gateway.edge import cors, hosts, request_checks
from gateway.edge.forwarded import ForwardedHeaders
from gateway.edge.rate_limit import Limiter
from gateway.edge.slow_bodies import BodyReadLimiter
from gateway.event_routes import event_routes
from gateway.order_details import OrderDetails
from gateway.pages.docs import docs_routes
from gateway.pages.routes import page_routes
from gateway.proxy import Proxy
from gateway.routes import bill_routes, detail_routes, proxy_routes
from gateway.settings import Settings
from gateway.status.prober import Sources
from gateway.status.routes import status_routes
from gateway.status.watcher import Watcher

PROCESS = "gateway"
# most threads wait for upstreams; with two workers and the relay, PostgreSQL has connections left
DATABASE_CONNECTIONS = 16


def create_app(settings: Settings, publisher: Publisher) -> Flask:
    """Build the gateway's HTTP application; `publisher` is already started."""
    database = Database(settings.database, DATABASE_CONNECTIONS)
    tokens = Tokens(database, settings.auth.api_token)
    limiter = Limiter(settings.edge.reads, settings.edge.writes, settings.counters)
    guard = Guard(settings.auth.auth_protected, tokens, limiter)
    # no upstream may hold all threads
    in_flight = min(IN_FLIGHT, max(1, settings.server.threads // 2))
    inventory = UpstreamClient(settings.inventory, in_flight)
    billing = UpstreamClient(settings.billing, in_flight)
    customers = UpstreamClient(settings.customers, in_flight)
    orders = UpstreamClient(settings.orders, in_flight)
    details = OrderDetails(orders, inventory, customers, billing)
    bills = BillIntake(publisher, database)
    cache = caching.create(settings.cache, settings.versions)
    cached = caching.proxied(Proxy(inventory), cache)
    platform, broker = settings.platform, settings.broker
    watch = Watcher(Sources(platform, broker, settings.orders, settings.billing, [database], cache))
    routes = [
        guard.protect("movies", proxy_routes("movies", cached)),
        guard.protect("products", proxy_routes("products", cached)),
        guard.protect("products", proxy_routes("produits", cached)),
        guard.protect("customers", proxy_routes("customers", Proxy(customers))),
        guard.protect("customers", proxy_routes("clients", Proxy(customers))),
        guard.protect("orders", detail_routes("orders", details, guard, Proxy(orders))),
        guard.protect("orders", detail_routes("commandes", details, guard, Proxy(orders))),
        guard.protect("orders", proxy_routes("orders", Proxy(orders))),
        guard.protect("orders", proxy_routes("commandes", Proxy(orders))),
        guard.protect("billing", bill_routes(bills, settings.broker.queue, Proxy(billing))),
        guard.protect("events", event_routes("events", database)),
        guard.protect("events", event_routes("event", database)),
        limiter.limit("pages", status_routes(watch, guard)),
        limiter.limit(
            "pages", docs_routes(settings.docs.swagger_ui_dir, settings.auth.auth_protected)
        ),
        limiter.limit("pages", page_routes(lambda: watch.summary(guard.shows_platform()))),
    ]
    health_routes = (
        health.live_routes(PROCESS),
        limiter.limit("platform", health.ready_routes(PROCESS, [database], guard.shows_platform)),
        guard.protect("platform", health.metrics_routes([database])),
    )
    app = web.create_app(
        PROCESS,
        ready=[database],
        routes=routes,
        health_routes=health_routes,
        keys=KeyedPosts(database, {"event": "events"}, auth.caller_scope),
    )
    return with_middleware(app, settings)


def with_middleware(app: Flask, settings: Settings) -> Flask:
    """Return `app` with the checks and middleware that all of its routes share."""
    app.before_request(request_checks.check)
    hosts.init_app(app, settings.edge.allowed_hosts, settings.address)
    app.after_request(auth.keep_private)
    cors.init_app(app, settings.edge.cors_origins)
    bodies = BodyReadLimiter(app.wsgi_app, max(1, settings.server.threads // 8))
    app.wsgi_app = ForwardedHeaders(bodies, settings.edge.proxies)  # type: ignore[method-assign]
    return app


def create_publisher(settings: Settings, name: str) -> Publisher:
    """Start a publisher of bills."""
    publisher = Publisher(settings.broker, name, of_queue("billing_queue", settings.broker))
    publisher.start()
    return publisher
