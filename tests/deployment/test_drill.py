"""The drill: a process that is stopped and started by hand.

`vagrant ssh` is used once, since each launch of Vagrant costs seconds of processor time.
"""

import pytest

from tests.deployment.platform import SECONDS, Platform, create_customer
from tools.stack.waiting import wait_until

pytestmark = pytest.mark.usefixtures("whole_again")


def test_bills_wait_while_the_consumer_is_stopped(platform: Platform) -> None:
    platform.wait_until_all_are_recorded()
    before = sum(platform.recorded().values())
    platform.ssh("billing-vm", "pm2 stop billing-consumer")
    platform.post_bills(20)
    wait_until(lambda: platform.waiting() == 20, SECONDS, "20 messages in billing_queue")
    assert sum(platform.recorded().values()) == before
    platform.look("billing-vm", "pm2 restart billing-consumer")
    platform.wait_until_all_are_recorded()
    assert sum(platform.recorded().values()) == before + 20
    logs = platform.look("billing-vm", "pm2 logs billing-consumer --nostream --lines 200")
    assert all(identifier in logs for identifier in platform.accepted[-20:])


def test_events_of_customers_wait_while_the_relay_is_stopped_by_sudo(platform: Platform) -> None:
    with platform.customer_events("tests-drill") as events:
        platform.look("customers-vm", "sudo pm2 stop customers-relay")
        created = [create_customer().json()["id"] for _ in range(20)]
        assert events() == []
        platform.look("customers-vm", "sudo pm2 restart customers-relay")
        wait_until(lambda: len(events()) >= 20, SECONDS, "20 events")
        assert [event["data"]["id"] for event in events()] == created


def test_an_order_waits_while_a_consumer_is_stopped_and_is_completed_after(
    platform: Platform,
) -> None:
    platform.look("orders-vm", "pm2 stop orders-consumer")
    order = platform.place_order()
    wait_until(lambda: platform.waiting("orders_inbox") > 0, SECONDS, "a message in orders_inbox")
    assert platform.order(order)["status"] == "pending"
    platform.look("orders-vm", "pm2 restart orders-consumer")
    platform.wait_for_order(order)
    platform.wait_for_mails(order, "created", "completed")
