"""`/`: the live page for browsers, the platform's state in JSON for everybody else."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from gateway import files

JSON, HTML = "application/json", "text/html"


def page_routes(summary: Callable[[], dict[str, Any]]) -> Blueprint:
    """Return the routes of the page and its files.

    Args:
        summary: tells name, version, the services with their state, and where to read on.
    """
    routes = Blueprint("pages", __name__)

    @routes.get("/")
    def entrance() -> Response:
        response = _page() if _is_wanted(HTML) else jsonify(summary())
        response.vary.add("Accept")
        return response

    @routes.get("/static/<name>")
    def static_file(name: str) -> Response:
        return files.send(files.STATIC, name)

    return routes


def _page() -> Response:
    return files.send(files.STATIC, "page.html")


def _is_wanted(media_type: str) -> bool:
    """Whether a client likes `media_type` better than JSON (RFC 9110, section 12.5.1)."""
    return request.accept_mimetypes.best_match((JSON, media_type)) == media_type
