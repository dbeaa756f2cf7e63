"""Headers between the gateway and the services behind it: who calls, and which order is shown.

A service takes the caller from the gateway, and from nobody else.
"""

HEADER = "X-Caller"
ORDER_UID = "Order-UID"
"""The UUID of the order that an answer shows; its bill has it as `id`."""
ANONYMOUS = "anonymous"
WATCH = "gateway-watch"  # the gateway itself, as it watches the platform


def scope(name: str, address: str) -> str:
    """Return whose things a caller's are: all without a token have one name, not one address."""
    return f"{ANONYMOUS} {address}" if name == ANONYMOUS else name
