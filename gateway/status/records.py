"""Orders by their states, and the newest bills, as the services show them."""

from typing import Any

from gateway.status.probe import AwayError, Peer

BILLS_SHOWN = 10


def orders(peer: Peer) -> dict[str, int]:
    """Ask orders-api how many orders are in each state.

    Raises:
        AwayError: it does not say.
    """
    stats = peer.json("/api/orders/stats")
    try:
        return {status: figures["count"] for status, figures in stats["by_status"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise AwayError("answered with something else than statistics") from error


def bills(peer: Peer) -> list[Any]:
    """Ask billing-api for the newest bills.

    Raises:
        AwayError: it does not say.
    """
    found = peer.json(f"/api/billing?limit={BILLS_SHOWN}")
    if not isinstance(found, list):
        raise AwayError("answered with something else than bills")
    return found
