"""Which state of an order may follow which: decisions without a database."""

import pytest

from chassis.errors import ConflictError
from orders.allowed_transitions import (
    FINAL,
    STATUSES,
    STEPS,
    TRANSITIONS,
    after_event,
    by_hand,
    check_by_hand,
    check_deletable,
    event_of,
)


def test_a_final_state_has_no_successor() -> None:
    assert {status for status in STATUSES if not TRANSITIONS[status]} == set(FINAL)


@pytest.mark.parametrize("status", STATUSES)
def test_a_person_can_only_cancel_an_order_with_items(status: str) -> None:
    expected = [] if status in FINAL else ["cancelled"]
    assert by_hand(status, has_items=True) == expected
    assert by_hand(status, has_items=False) == list(TRANSITIONS[status])


@pytest.mark.parametrize(
    ("status", "target", "has_items", "detail"),
    [
        (
            "pending",
            "completed",
            False,
            "An order that is pending can't be made completed by hand; "
            "allowed: processing, cancelled.",
        ),
        (
            "pending",
            "processing",
            True,
            "An order with items that is pending can't be made processing by hand; "
            "allowed: cancelled.",
        ),
        (
            "cancelled",
            "pending",
            False,
            "An order that is cancelled can't be made pending by hand; allowed: nothing.",
        ),
    ],
)
def test_a_forbidden_transition_names_what_is_allowed(
    status: str, target: str, has_items: bool, detail: str
) -> None:
    with pytest.raises(ConflictError) as refused:
        check_by_hand(status, target, has_items)
    assert str(refused.value) == detail


@pytest.mark.parametrize("status", STATUSES)
def test_an_order_with_items_is_deletable_once_it_has_ended(status: str) -> None:
    check_deletable(status, has_items=False)
    if status in FINAL:
        check_deletable(status, has_items=True)
        return
    with pytest.raises(ConflictError, match=f"that is {status} can't be deleted"):
        check_deletable(status, has_items=True)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    ("event", "expected", "target"),
    [
        ("stock.reserved", "pending", "processing"),
        ("stock.rejected", "pending", "cancelled"),
        ("bill.recorded", "processing", "completed"),
        ("bill.voided", "processing", "cancelled"),
    ],
)
def test_an_event_moves_only_an_order_that_waits_for_it(
    event: str, expected: str, target: str, status: str
) -> None:
    assert after_event(event, status, has_items=True) == (target if status == expected else None)
    assert after_event(event, status, has_items=False) is None


def test_an_order_publishes_its_step_if_its_state_is_one_and_else_that_it_is_updated() -> None:
    assert {*FINAL} < {*STEPS}
    types = [event_of(status) for status in STATUSES]
    assert types == ["order.updated", "order.updated", "order.completed", "order.cancelled"]
