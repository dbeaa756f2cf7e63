"""The bulkhead lends no more permits than it has, and gets each back."""

import pytest

from chassis.bulkhead import Bulkhead
from chassis.errors import UnavailableError


def test_who_finds_no_permit_is_refused_at_once() -> None:
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
