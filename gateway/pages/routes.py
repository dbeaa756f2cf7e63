"""`/`: the live page for browsers, the platform's state as JSON for all other clients.

The page reads /api/status; gateway/status computes its numbers.
"""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from gateway.pages import files

JSON, HTML = "application/json", "text/html"


def page_routes(summary: Callable[[], dict[str, Any]]) -> Blueprint:
    """Return the routes of the page and its files.

    Args:
        summary: returns name, version, the states of the services, and links.
    """
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    def entrance() -> Response:
        page = _is_page_wanted()
        response = files.send(files.STATIC, "page.html") if page else jsonify(summary())
        response.vary.add("Accept")
        return response

    @routes.get("/static/<name>")
    def static_file(name: str) -> Response:
        return files.send(files.STATIC, name)

    return routes


def _is_page_wanted() -> bool:
    """Return whether the client prefers HTML to JSON (RFC 9110, section 12.5.1)."""
    return request.accept_mimetypes.best_match((JSON, HTML)) == HTML
