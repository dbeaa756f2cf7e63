"""`GET /api/status`: the state of the whole platform."""

from flask import Blueprint, Response, jsonify

from chassis.http import access_log
from gateway.auth.guard import Guard
from gateway.status.document import outline
from gateway.status.watcher import Watcher


def status_routes(watch: Watcher, guard: Guard) -> Blueprint:
    """Return the route; details and bills are shown to callers who may read them."""
    routes = Blueprint("status", __name__)
    routes.before_request(access_log.skip_request)

    @routes.get("/api/status")
    def get_status() -> Response:
        status = watch.status()
        if not guard.shows_platform():
            status = outline(status)
        elif not guard.permitted(["billing"]):
            status = {**status, "bills": None, "protected": ["bills"]}
        response = jsonify(status)
        response.headers["Cache-Control"] = "no-store"
        return response

    return routes
