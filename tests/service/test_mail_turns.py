"""Whose turn it is: mails of an order, claims of who was cut off, mails of deleted customers."""

import json
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from chassis.database import Database
from chassis.json_decoding import decode
from chassis.service_client import ServiceClient
from orders import consumer, directory, directory_api, mails
from orders.directory import CustomerData, CustomerGone
from orders.mail_addresses import Addressing
from orders.mail_sender import Sender
from orders.mail_text import OrderData
from orders.mail_transport import Letter
from orders.mail_worker import MailHandler
from orders.mails import Mail
from orders.settings import Settings
from tests.service.mailing import order_data, received
from tests.service.mails import rows

LEASE = timedelta(seconds=60)
ORDERS = 20_000


def note(database: Database, *steps: tuple[str, UUID], **changed: Any) -> None:
    """Have a mail-worker note what it is told in one batch."""
    handler = MailHandler(database)
    events = [received(handler, f"order.{step}", order_data(uid=u, **changed)) for step, u in steps]
    handler.apply(events)


def claimed(database: Database, doubt: timedelta | None = mails.DOUBT) -> Mail | None:
    """Claim the mail that is due."""
    with database.unit_of_work() as connection:
        mail = mails.claim(connection, LEASE, doubt=doubt)
        connection.commit()
    return mail


def change(database: Database, statement: str) -> None:
    """Change the table behind everybody's back."""
    with database.read() as connection:
        connection.execute(text(statement))


def sent(database: Database, mail: Mail) -> None:
    """Note that a mail is sent."""
    with database.unit_of_work() as connection:
        mails.mark_sent(connection, mail)
        connection.commit()


def steps_sent(database: Database) -> Sequence[str]:
    """Send what is due; return the steps in their order."""
    steps = []
    while (mail := claimed(database)) is not None:
        steps.append(mail.step)
        sent(database, mail)
    return steps


@pytest.mark.parametrize("order", [("created", "completed"), ("completed", "created")])
def test_whichever_worker_is_first_the_confirmation_goes_before_what_follows(
    orders_db: Database, order: tuple[str, str]
) -> None:
    uid = uuid4()
    for step in order:
        note(orders_db, (step, uid))
    assert steps_sent(orders_db) == ["created", "completed"]


def test_what_follows_is_held_back_for_a_confirmation_that_another_worker_has_in_hand(
    orders_db: Database,
) -> None:
    note(orders_db, ("completed", uuid4()))
    assert claimed(orders_db) is None
    change(orders_db, "UPDATE mails SET next_attempt_at = now()")
    assert steps_sent(orders_db) == ["completed"]


def test_a_confirmation_that_is_put_off_holds_back_what_follows_and_nothing_else(
    orders_db: Database,
) -> None:
    note(orders_db, ("created", uuid4()))
    first = claimed(orders_db)
    assert first is not None
    note(orders_db, ("completed", first.uid), ("created", uuid4()))
    with orders_db.unit_of_work() as connection:
        mails.put_off(connection, first, "the server is away", LEASE)
        connection.commit()
    assert steps_sent(orders_db) == ["created"]
    sent(orders_db, first)
    assert steps_sent(orders_db) == ["completed"]


def test_a_claim_costs_the_same_however_many_orders_wait_behind_an_outage(
    orders_db: Database,
) -> None:
    fill = (
        "INSERT INTO mails (order_uid, step, order_id, customer_id, data, headers, state, "
        "recipient, in_turn, next_attempt_at) SELECT uid, step, 'O', '1', :data, '{}', 'waiting', "
        "'ben@kawa.fr', step = 'created', now() + CASE step WHEN 'created' THEN 1 ELSE -1 END "
        "* interval '1 hour' FROM (SELECT gen_random_uuid() AS uid FROM "
        f"generate_series(1, {ORDERS}) OFFSET 0) AS orders, (VALUES ('created'), ('completed')) "
        "AS steps (step)"
    )
    data = json.dumps({"uid": str(uuid4()), "order_id": "O", "customer_id": "1", "total": 1})
    with orders_db.read() as connection:
        connection.execute(text(fill), {"data": data.encode()})
    newest = "(SELECT max(id) FROM mails WHERE in_turn)"
    change(orders_db, f"UPDATE mails SET next_attempt_at = now() WHERE id = {newest}")
    statement = mails._claiming(uuid4(), LEASE, "waiting", mails.DOUBT)
    with orders_db.unit_of_work() as connection:
        explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
        compiled = statement.compile(connection, compile_kwargs={"render_postcompile": True})
        driver = connection.connection.cursor()
        driver.execute(explain + str(compiled), compiled.params)
        [[[plan]]] = driver.fetchall()
    shown = json.dumps(plan)
    assert "mails_due" in shown and "Seq Scan" not in shown, shown
    blocks = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    assert blocks < 400, shown


def test_a_stale_claim_is_doubted_and_left_to_a_holder_who_renews_it(orders_db: Database) -> None:
    note(orders_db, ("created", uuid4()))
    mail = claimed(orders_db)
    assert mail is not None and mail.claim is not None
    # the database was gone for longer than the lease
    change(orders_db, "UPDATE mails SET next_attempt_at = now() - interval '1 hour'")
    assert claimed(orders_db) is None
    with orders_db.read() as connection:
        mails.renew(connection, [mail.claim], LEASE)
    [row] = rows(orders_db)
    assert (row.claim, row.doubted, row.attempts) == (mail.claim, None, 1)
    assert claimed(orders_db) is None


def test_a_claim_that_nobody_renews_is_taken_after_the_doubt(orders_db: Database) -> None:
    note(orders_db, ("created", uuid4()))
    first = claimed(orders_db)
    for _ in range(2):
        change(orders_db, "UPDATE mails SET next_attempt_at = now() - interval '1 hour'")
        second = claimed(orders_db)
    assert first is not None and second is not None
    assert (second.id, second.attempts) == (first.id, 2)
    assert second.claim != first.claim


class Taking:
    """A mail server that asks a second sender for work while it takes a mail."""

    name, is_local, lease = "taking", False, LEASE

    def __init__(self, database: Database) -> None:
        self.taken: list[str] = []
        self.other: Sender | None = None
        self.database = database

    def deliver(self, letter: Letter) -> None:
        """Take a mail; meanwhile the database was gone for longer than a lease."""
        self.taken.append(letter.name)
        if self.other is not None:
            change(self.database, "UPDATE mails SET next_attempt_at = now() - interval '1 hour'")
            other, self.other = self.other, None
            assert not other.work()


def test_no_second_sender_takes_what_is_in_hand_after_a_database_was_gone_for_a_lease(
    orders_db: Database,
) -> None:
    way = Taking(orders_db)
    one, way.other = (
        Sender(orders_db, way, "shop@kawa.fr", "mail_inbox.dlq", threading.Event())
        for _ in range(2)
    )
    note(orders_db, ("created", uuid4()))
    assert one.work()
    assert len(way.taken) == 1
    assert [row.state for row in rows(orders_db)] == ["sent"]


def test_an_address_goes_with_the_mail_that_was_sent(orders_db: Database) -> None:
    note(orders_db, ("created", uuid4()))
    assert steps_sent(orders_db) == ["created"]
    [row] = rows(orders_db)
    assert row.recipient is None
    assert b"ben@kawa.fr" not in bytes(row.data)
    assert OrderData(**decode(bytes(row.data))).lines[0].name == "Metropolis"


def test_a_deleted_customer_gets_no_mail_that_waits_and_none_later(orders_db: Database) -> None:
    uids = [uuid4() for _ in range(3)]
    note(orders_db, ("created", uids[0]), ("created", uids[1]), customer_id="7")
    note(orders_db, ("created", uids[2]), customer_id="8")
    first = claimed(orders_db)
    assert first is not None
    with orders_db.unit_of_work() as connection:
        mails.mark_refused(connection, first, "550 <ben@kawa.fr> is unknown", "letter")
        connection.commit()
    handler = consumer.handler(orders_db)
    handler.apply([received(handler, "customer.deleted", {"id": 7})])
    note(orders_db, ("completed", uids[1]), customer_id="7")
    found = [row for row in rows(orders_db) if row.customer_id == "7"]
    assert [row.state for row in found] == ["refused", "unknown", "unaddressed"]
    for row in found:
        assert "ben@kawa.fr" not in f"{row.recipient} {row.error} {bytes(row.data)!r}"
    [other] = [row for row in rows(orders_db) if row.customer_id == "8"]
    assert (other.state, other.recipient) == ("waiting", "ben@kawa.fr")


def test_a_fault_of_any_kind_is_the_one_mails(
    orders_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Taking(orders_db)
    sender = Sender(orders_db, way, "shop@kawa.fr", "mail_inbox.dlq", threading.Event())
    for email in ("=?utf-8?q??=@x.test", "=?x?q?ceo?=@corp.test", "ben@kawa.fr"):
        note(orders_db, ("created", uuid4()), email=email)
    note(orders_db, ("created", uuid4()), order_id="\x1b=?utf-8?q?=1b=00=0d=0a?=")
    while sender.work():
        pass
    assert [row.state for row in rows(orders_db)] == ["refused", "refused", "sent", "sent"]
    assert "encoded word" in rows(orders_db)[0].error
    monkeypatch.setattr("orders.mail_sender.compose", lambda *_given: [][1])
    note(orders_db, ("created", uuid4()))
    assert sender.work()
    assert rows(orders_db)[-1].state == "refused"
    assert "IndexError" in rows(orders_db)[-1].error


def test_a_claim_holds_while_it_is_renewed_and_not_half_a_lease_longer(
    orders_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, held, now = Taking(orders_db), [], [0.0]
    sender = Sender(orders_db, way, "shop@kawa.fr", "mail_inbox.dlq", threading.Event())
    monkeypatch.setattr("orders.mail_sender.time.monotonic", lambda: now[0])

    def deliver(letter: Letter) -> None:
        for seconds, renews in ((29, False), (29, True), (31, False), (31, True)):
            now[0] += seconds
            if renews:
                sender.keep()
            held.append(letter.is_held())

    monkeypatch.setattr(way, "deliver", deliver)
    note(orders_db, ("created", uuid4()))
    assert sender.work()
    assert held == [True, True, False, True]


def test_an_address_that_is_found_and_the_deletion_of_the_customer_do_not_wait_for_each_other(
    orders_db: Database, orders_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(orders_db, ("created", uuid4()), email=None, customer_id="7")
    answer = CustomerData(id=7, name="Ben", email="ben@kawa.fr")
    monkeypatch.setattr(directory_api, "ask", lambda *_arguments: answer)
    client = ServiceClient(orders_settings.customers)
    addressing = Addressing(orders_db, client, threading.Event())
    worker = threading.Thread(target=addressing.work)
    with orders_db.unit_of_work() as deletion:
        directory.REACTIONS["customer.deleted"].act(deletion, CustomerGone(id=7), "1")
        worker.start()
        wait_until_one_waits(orders_db)
        mails.forget(deletion, [7])
        deletion.commit()
    worker.join(10)
    [row] = rows(orders_db)
    assert (row.state, row.recipient) == ("unknown", None)


def wait_until_one_waits(database: Database) -> None:
    """Wait until a session waits for another's lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    end = time.monotonic() + 10
    with database.read() as connection:
        while not connection.execute(waiting).scalar_one():
            assert time.monotonic() < end
            time.sleep(0.02)
