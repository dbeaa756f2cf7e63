"""`GET /api/status`: how the whole platform is."""

from flask import Blueprint, Response, jsonify

from chassis import quiet
from gateway.auth import Guard
from gateway.watch.document import outline
from gateway.watch.watch import Watch


def status_routes(watch: Watch, guard: Guard) -> Blueprint:
    """Return the route; details and bills are shown to those who may read them."""
    routes = Blueprint("status", __name__)
    routes.before_request(quiet.this_request)

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
