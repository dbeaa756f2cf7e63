"""Orders by state, and the newest bills, read from their services."""

from typing import Any

from gateway.status.probe import Probe, ProbeError

BILLS_SHOWN = 10


def orders(probe: Probe) -> dict[str, int]:
    """Ask orders-api how many orders are in each state.

    Raises:
        ProbeError: there is no usable answer.
    """
    stats = probe.json("/api/orders/stats")
    try:
        return {status: figures["count"] for status, figures in stats["by_status"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ProbeError("answered with something else than statistics") from error


def bills(probe: Probe) -> list[Any]:
    """Ask billing-api for the newest bills.

    Raises:
        ProbeError: there is no usable answer.
    """
    found = probe.json(f"/api/billing?limit={BILLS_SHOWN}")
    if not isinstance(found, list):
        raise ProbeError("answered with something else than bills")
    return found
