"""How long a relay rests after slow looks at its outbox."""

import pytest

from chassis.outbox.scan_pause import ScanPause


def test_a_slow_scan_pauses_only_after_another_slow_one() -> None:
    looks = ScanPause(share=0.2, longest=3)
    # such a look has waited for a lock
    assert looks.rest(30) == 0
    assert looks.rest(0.01) == 0
    assert looks.rest(0.3) == 0
    assert looks.rest(0.3) == pytest.approx(1.5)
    assert looks.rest(30) == 3
    assert looks.rest(0.01) == 0
    assert looks.rest(0.3) == 0
