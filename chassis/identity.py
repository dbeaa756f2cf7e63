"""Who is calling: a service behind the gateway takes it from the gateway, and from nobody else."""

from flask import request

HEADER = "X-Caller"
ANONYMOUS = "anonymous"
WATCH = "gateway-watch"  # the gateway itself, as it watches the platform


def caller() -> str:
    """Return the name of the token that the request came with; `anonymous` without one."""
    return request.headers.get(HEADER, ANONYMOUS)
