"""Headers between the gateway and the services behind it: who calls, and which order is shown.

A service takes the caller from the gateway, and from nobody else.
"""

from flask import request

HEADER = "X-Caller"
ORDER_UID = "Order-UID"
"""The UUID of the order that an answer shows; its bill has it as `id`."""
ANONYMOUS = "anonymous"
WATCH = "gateway-watch"  # the gateway itself, as it watches the platform


def scope(name: str, address: str) -> str:
    """Return whose things a caller's are: all without a token have one name, not one address."""
    return f"{ANONYMOUS} {address}" if name == ANONYMOUS else name


def caller_scope() -> str:
    """Return the scope of the request's caller behind the gateway, which says its address."""
    client = request.headers.get("X-Forwarded-For", "").partition(",")[0].strip()
    return scope(caller(), client or request.remote_addr or "")


def caller() -> str:
    """Return the name of the token that the request came with; `anonymous` without one."""
    return request.headers.get(HEADER, ANONYMOUS)
