"""Two mail-workers at once, with a real mail server, and what befalls their database."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from chassis.storage import database
from chassis.storage.database import Database
from orders.mail import claims as mail_claims
from orders.mail import worker as mail_worker
from orders.mail.smtp import Smtp
from orders.settings import Settings
from tests.support.at_work import at_work
from tests.support.mail_server import Postman, by_smtp, serving
from tests.support.mailing import eventually, order_data, publish
from tests.support.mails import rows, wait_for_states
from tests.support.outages import frozen
from tests.support.settings import port
from tools.stack.ports import free_port
from tools.stack.servers.postgres import Postgres

LEASE = 3.0
IN_HAND, LATER = 5, 3  # of eight senders, three ask for work meanwhile


@pytest.fixture
def settings(orders_settings: Settings, postman: Postman) -> Iterator[Settings]:
    """The configuration of orders, with a mail server."""
    with serving(postman, number := free_port()):
        yield by_smtp(orders_settings, number)


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims that are stale soon, and are renewed often, by who does not wait long for answers."""
    monkeypatch.setattr(Smtp, "lease", timedelta(seconds=LEASE))
    monkeypatch.setattr(mail_claims, "GRACE", timedelta(seconds=20))
    monkeypatch.setattr(mail_worker, "_RENEW_SECONDS", 0.2)
    monkeypatch.setattr(database, "ANSWER_SECONDS", LEASE / 3)


@pytest.fixture
def workers(short_leases: None, settings: Settings, channel: BlockingChannel) -> Iterator[None]:
    """Two mail-workers."""
    two = [replace(settings, mail_port=port()) for _ in range(2)]
    with at_work(*(partial(mail_worker.run, one) for one in two)):
        yield


def test_a_database_that_is_frozen_for_longer_than_a_lease_has_no_mail_sent_twice(
    workers: None,
    channel: BlockingChannel,
    postman: Postman,
    orders_db: Database,
    postgres: Postgres,
) -> None:
    addresses = [f"{number}@kawa.fr" for number in range(IN_HAND + LATER)]
    before, during, after = addresses[:2], addresses[2:4], addresses[4:IN_HAND]
    for address in during + after:
        postman.delayed[address] = threading.Event()
    for address in addresses[:IN_HAND]:
        publish(channel, "order.created", order_data(email=address))
    eventually(lambda: Counter(r.state for r in rows(orders_db))["sent"] == len(before), "a start")
    eventually(lambda: sum(r.claim is not None for r in rows(orders_db)) == 3, "mails in hand")
    began = time.monotonic()
    with frozen(postgres):
        for address in addresses[IN_HAND:]:
            publish(channel, "order.created", order_data(email=address))
        for address in during:
            postman.delayed[address].set()
        eventually(lambda: len(postman.taken) == len(before + during), "mails to be taken")
        eventually(lambda: time.monotonic() > began + 2 * LEASE, "more than a lease to pass")
    for address in after:
        postman.delayed[address].set()
    wait_for_states(orders_db, sent=len(addresses))
    assert Counter(postman.recipients()) == Counter(addresses)


def test_a_completion_never_overtakes_a_deferred_confirmation(
    workers: None, channel: BlockingChannel, postman: Postman, orders_db: Database
) -> None:
    uids = [uuid4() for _ in range(12)]
    for number, uid in enumerate(uids):
        postman.answers[f"{number}@kawa.fr"] = ["451 Try again later"] * (number % 3)
        steps = ["created", "completed"]
        for step in steps:
            publish(channel, f"order.{step}", order_data(uid=uid, email=f"{number}@kawa.fr"))
    wait_for_states(orders_db, sent=2 * len(uids))
    ids = postman.ids()
    for uid in uids:
        mine = [id for id in ids if str(uid) in id]
        assert mine == [f"<{uid}.{step}@kawa.fr>" for step in ("created", "completed")]
