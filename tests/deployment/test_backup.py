"""`sudo crud-master backup` and `restore` on machines."""

import pytest

from tests.deployment.platform import POLL, SECONDS, Platform
from tools.stack.waiting import wait_until

pytestmark = pytest.mark.usefixtures("whole_again")
HOME = "/var/tmp/backups"


def test_a_machine_is_backed_up_and_restored(platform: Platform) -> None:
    """Bills are as in the backup; those that were recorded later are lost, and new ones come."""
    platform.post_bills(3)
    platform.wait_until_all_are_recorded()
    kept = set(platform.recorded())
    said = platform.ssh("billing-vm", f"sudo crud-master backup {HOME}/billing")
    assert "billing, RabbitMQ's definitions" in said
    files = f"sudo find {HOME}/billing -printf '%m %u\\n'"
    modes = platform.look("billing-vm", files)
    assert set(modes.splitlines()) == {"700 root", "600 root"}

    before = len(platform.accepted)
    platform.post_bills(2)
    platform.wait_until_all_are_recorded()
    refused = platform.vagrant.try_look("billing-vm", f"sudo crud-master restore {HOME}/billing")
    assert refused.returncode == 1
    assert "There are data already" in refused.stdout + refused.stderr
    said = platform.ssh(
        "billing-vm", "cd /var/tmp; sudo crud-master restore backups/billing --replace"
    )
    assert "billing_db     as of 20" in said
    assert set(platform.recorded()) == kept
    del platform.accepted[before:]
    platform.wait_until_whole()
    platform.post_bills(1)
    platform.wait_until_all_are_recorded()


def test_an_order_that_inventory_forgets_ends(platform: Platform) -> None:
    platform.ssh("inventory-vm", f"sudo crud-master backup {HOME}/inventory")
    forgotten = platform.place_order()
    platform.ssh("inventory-vm", f"sudo crud-master restore {HOME}/inventory --replace")
    platform.wait_until_whole()
    platform.ssh("orders-vm", "crud-master orders resend")
    ended = ("completed", "cancelled")
    wait_until(lambda: platform.order(forgotten)["status"] in ended, SECONDS, "it to end", POLL)
    platform.wait_for_order(platform.place_order())


def test_the_gateways_machine_is_restored_with_its_cache(platform: Platform) -> None:
    platform.ssh("gateway-vm", f"sudo crud-master backup {HOME}/gateway")
    said = platform.ssh("gateway-vm", f"sudo crud-master restore {HOME}/gateway --replace")
    assert "gateway_db     as of 20" in said
    platform.wait_until_whole()
