"""The bulkhead lends no more permits than it has, and gets each back."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chassis.errors import UnavailableError
from chassis.http.bulkhead import Bulkhead
from tools.stack.waiting import wait_until


def test_a_call_without_a_permit_is_refused_at_once() -> None:
    bulkhead = Bulkhead("test-api", 2)
    with bulkhead.permit(), bulkhead.permit():
        with pytest.raises(UnavailableError) as caught, bulkhead.permit():
            pytest.fail("a third permit")
        assert (caught.value.cause, caught.value.retry_after) == ("upstream_busy", 1)
        assert "test-api" in str(caught.value)
    with bulkhead.permit(), bulkhead.permit():
        pass


@pytest.mark.parametrize("error", [ValueError, UnavailableError, KeyboardInterrupt, SystemExit])
def test_a_permit_comes_back_however_the_block_ends(error: type[BaseException]) -> None:
    bulkhead = Bulkhead("test-api", 1)
    arguments = {"cause": "away"} if error is UnavailableError else {}
    for _ in range(3):
        with pytest.raises(error), bulkhead.permit():
            raise error("the block", **arguments)
    with bulkhead.permit():
        pass


def hold(bulkhead: Bulkhead) -> None:
    """Take a permit and give it back."""
    with bulkhead.permit():
        pass


def test_with_patience_callers_wait_as_long_as_others_are_answered() -> None:
    bulkhead = Bulkhead("test-api", 1, patience=50)
    release = threading.Event()

    def answered_late() -> None:
        with bulkhead.permit():
            release.wait(50)

    with ThreadPoolExecutor(9) as pool:
        calls = [pool.submit(answered_late), *(pool.submit(hold, bulkhead) for _ in range(8))]
        release.set()
        assert [call.result() for call in calls] == [None] * 9


def test_nobody_waits_for_an_upstream_that_answers_nobody() -> None:
    seconds = [0.0]
    bulkhead = Bulkhead("test-api", 1, patience=1, now=lambda: seconds[0])
    with bulkhead.permit():
        seconds[0] = 1.0
        with pytest.raises(UnavailableError):
            hold(bulkhead)
    hold(bulkhead)


def test_a_waiting_call_is_refused_if_no_other_was_answered_in_that_time() -> None:
    bulkhead = Bulkhead("test-api", 1, patience=0.1)
    with bulkhead.permit(), pytest.raises(UnavailableError):
        hold(bulkhead)


def test_nobody_waits_longer_than_the_time_limit_of_the_call() -> None:
    bulkhead = Bulkhead("test-api", 1, patience=600)
    with bulkhead.permit(), pytest.raises(UnavailableError), bulkhead.permit(0.1):
        pytest.fail("a second permit")


def wait_for(bulkhead: Bulkhead) -> float:
    """Take a permit, and return how long that took."""
    with bulkhead.permit() as waited:
        return waited


def test_a_call_with_a_permit_knows_its_waiting_time() -> None:
    seconds, looks = [0.0], list[float]()

    def now() -> float:
        looks.append(seconds[0])
        return seconds[0]

    bulkhead = Bulkhead("test-api", 1, patience=50, now=now)
    with ThreadPoolExecutor(1) as pool:
        with bulkhead.permit() as waited:
            assert waited == 0
            looks.clear()
            later = pool.submit(wait_for, bulkhead)
            # it looks once as it comes, and again before it waits
            wait_until(lambda: len(looks) == 2, 30, "a caller that waits")
            seconds[0] = 20
        assert later.result(30) == 20
