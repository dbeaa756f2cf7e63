"""The states of an order, and which may follow which. Pure decisions: nothing here reads a row."""

from collections.abc import Sequence
from typing import Literal, get_args

from chassis.errors import ConflictError

Status = Literal["pending", "processing", "completed", "cancelled"]
STATUSES: tuple[str, ...] = get_args(Status)
FINAL = ("completed", "cancelled")
Step = Literal["created", "completed", "cancelled"]
STEPS: tuple[Step, ...] = get_args(Step)
"""What others act on: the events of these steps have to reach a queue, and cause mails."""
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "pending": ("processing", "cancelled"),
    "processing": ("completed", "cancelled"),
    "completed": (),
    "cancelled": (),
}
_SAGA = {
    "stock.reserved": ("pending", "processing"),
    "stock.rejected": ("pending", "cancelled"),
    "bill.recorded": ("processing", "completed"),
    # of an order that was cancelled after the backup from which it was restored
    "bill.voided": ("processing", "cancelled"),
}
"""By the type of an event: the state in which an order waits for it, and the state that follows."""


def event_of(status: str) -> str:
    """Return the type of the event that an order publishes when it has moved to a state."""
    return f"order.{status}" if status in STEPS else "order.updated"


def by_hand(status: str, has_items: bool) -> Sequence[str]:
    """Return the states that a person may move an order to.

    The saga moves an order with items; a person can only cancel it.
    """
    return [target for target in TRANSITIONS[status] if target == "cancelled" or not has_items]


def check_by_hand(status: str, target: str, has_items: bool) -> None:
    """Raise ConflictError, which names the allowed states, if a person may not choose `target`."""
    allowed = by_hand(status, has_items)
    if target in allowed:
        return
    which = "An order with items" if has_items else "An order"
    raise ConflictError(
        f"{which} that is {status} can't be made {target} by hand; "
        f"allowed: {', '.join(allowed) or 'nothing'}."
    )


def check_deletable(status: str, has_items: bool) -> None:
    """Raise ConflictError if an order is still in the saga."""
    if has_items and status not in FINAL:
        raise ConflictError(
            f"An order with items that is {status} can't be deleted: "
            "cancel it first, or wait until it is completed."
        )


def after_event(event_type: str, status: str, has_items: bool) -> str | None:
    """Return the state that an event of the saga moves an order to.

    None if the event changes nothing: it is a duplicate, late or out of order, or the order has no
    items and so is not in the saga.
    """
    expected, target = _SAGA[event_type]
    return target if has_items and status == expected else None
