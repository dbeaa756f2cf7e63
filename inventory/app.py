"""inventory-api's application factory."""

from flask import Flask

from chassis.http import app as web
from chassis.http.keyed_posts import KeyedPosts
from chassis.storage.database import Database
from inventory.movie_routes import movie_routes
from inventory.product_routes import product_routes
from inventory.settings import Settings


def create_app(settings: Settings) -> Flask:
    """Build inventory's HTTP application."""
    database = Database(settings.database, settings.server.threads)
    products = [product_routes(name, database) for name in ("products", "produits")]
    return web.create_app(
        "inventory-api",
        ready=[database],
        routes=[movie_routes(database), *products],
        keys=KeyedPosts(database, {"produits": "products"}),
    )
