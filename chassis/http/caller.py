"""Headers between the gateway and the services behind it: the caller, and the order shown.

A service accepts the caller's name from the gateway only.
"""

HEADER = "X-Caller"
ORDER_UID = "Order-UID"
"""The UUID of the order that an answer shows; its bill has it as `id`."""
ANONYMOUS = "anonymous"
WATCH = "gateway-watch"  # the gateway itself, in its status checks


def scope(name: str, address: str) -> str:
    """Return what owns a caller's keys: the name, for anonymous callers with the address."""
    return f"{ANONYMOUS} {address}" if name == ANONYMOUS else name
