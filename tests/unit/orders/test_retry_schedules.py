"""How long is waited before an order's request, or a mail, is tried again."""

from datetime import timedelta

import pytest

from orders.mail.worker_loop import retry_wait
from orders.sweeping.resending import MAX_WAIT, resend_wait

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("resends", "minutes"), [(0, 2), (1, 4), (2, 8), (9, 1024), (10, 1440), (10_000, 1440)]
)
def test_the_wait_for_an_answer_doubles_up_to_a_day(resends: int, minutes: int) -> None:
    assert resend_wait(MINUTE, resends, 0.0) == minutes * MINUTE
    assert resend_wait(MINUTE, resends, 1.0) == minutes * MINUTE * 1.2


def test_a_configured_wait_of_more_than_a_day_is_not_shortened() -> None:
    assert resend_wait(MAX_WAIT * 2, 5, 0.0) == MAX_WAIT * 2


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (10_000, 60)]
)
def test_the_wait_before_a_mail_is_tried_again_doubles_up_to_a_minute(
    attempts: int, seconds: float
) -> None:
    assert retry_wait(attempts, 0.5) == timedelta(seconds=seconds)
    assert retry_wait(attempts, 0.0) == timedelta(seconds=seconds * 0.75)
    assert retry_wait(attempts, 1.0) == timedelta(seconds=seconds * 1.25)
