"""The drill: a consumer that is stopped and started by hand, from `vagrant ssh`."""

import pytest

from local.waiting import wait_until
from tests.deployment.platform import Platform


@pytest.mark.parametrize("pm2", ["pm2", "sudo pm2"])
def test_bills_wait_while_the_consumer_is_stopped(platform: Platform, pm2: str) -> None:
    platform.wait_until_all_are_recorded()
    before = sum(platform.recorded().values())
    platform.ssh("billing-vm", f"{pm2} stop billing-consumer")
    platform.post_bills(20)
    wait_until(lambda: platform.waiting() == 20, 30, "20 messages in billing_queue")
    assert sum(platform.recorded().values()) == before
    platform.ssh("billing-vm", f"{pm2} restart billing-consumer")
    platform.wait_until_all_are_recorded()
    assert sum(platform.recorded().values()) == before + 20
    logs = platform.ssh("billing-vm", f"{pm2} logs billing-consumer --nostream --lines 200")
    assert all(identifier in logs for identifier in platform.accepted[-20:])


def test_a_process_stopped_by_hand_stays_stopped_until_provisioning(platform: Platform) -> None:
    platform.ssh("billing-vm", "pm2 stop billing-consumer billing-api")
    assert set(platform.states("billing-vm").values()) == {"stopped"}
    output = platform.vagrant.run("provision", "billing-vm")
    assert "started billing-api,billing-consumer" in output
    assert set(platform.states("billing-vm").values()) == {"online"}
