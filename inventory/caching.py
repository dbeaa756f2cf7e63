"""Says for how long the gateway's cache may keep answers.

The field is for that cache alone: clients and their caches would not learn of changes. Source: RFC
9213.
"""

from flask import Blueprint, Response

from chassis.http import context

LIFETIME = "CDN-Cache-Control"
MOVIES_SECONDS = 60
PRODUCTS_SECONDS = 10  # their stock also changes by orders, which the gateway learns from events


def allow(routes: Blueprint, seconds: int) -> Blueprint:
    """Return `routes`, whose reads may be kept for so many seconds."""
    lifetime = f"max-age={seconds}"

    @routes.after_request
    def say(response: Response) -> Response:
        if response.status_code == 200 and context.request().method in ("GET", "HEAD"):
            response.headers[LIFETIME] = lifetime
        return response

    return routes
