"""billing-api's application factory."""

from flask import Flask

from billing.routes import bill_routes
from billing.settings import Settings
from chassis.http import app as web
from chassis.storage.database import Database


def create_app(settings: Settings) -> Flask:
    """Build billing's HTTP application."""
    database = Database(settings.database, settings.server.threads)
    return web.create_app("billing-api", ready=[database], routes=[bill_routes(database)])
