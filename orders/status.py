"""The states of an order, and which may follow which."""

from collections.abc import Sequence
from typing import Literal, get_args

Status = Literal["pending", "processing", "completed", "cancelled"]
STATUSES: tuple[str, ...] = get_args(Status)
FINAL = ("completed", "cancelled")
MOVES: dict[str, tuple[str, ...]] = {
    "pending": ("processing", "cancelled"),
    "processing": ("completed", "cancelled"),
    "completed": (),
    "cancelled": (),
}


def by_hand(status: str, has_items: bool) -> Sequence[str]:
    """Return what may follow `status` when a person says so.

    An order with items moves by the saga; a person can only cancel it.
    """
    return [move for move in MOVES[status] if move == "cancelled" or not has_items]
