"""Whose turn it is: mails of an order, claims of who was cut off, mails of deleted customers."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, event, text

from chassis.http.client import ServiceClient
from chassis.messaging.event_handler import EventHandler
from chassis.schema.decoding import decode
from chassis.storage import prepared
from chassis.storage.database import Database
from orders import consumer
from orders.customer_replica import api as customers_api
from orders.customer_replica.reactions import REACTIONS, mark_deleted
from orders.customer_replica.schemas import CustomerData, DeletedCustomer
from orders.customer_replica.table import insert_if_absent
from orders.mail import (
    claims as mail_claims,
)
from orders.mail import recording as mail_recording
from orders.mail import (
    table as mails,
)
from orders.mail import (
    worker as mail_worker,
)
from orders.mail.claims import Mail
from orders.mail.maildir import Maildir
from orders.mail.message import OrderData
from orders.mail.recipients import RecipientLookup
from orders.mail.recording import Cause
from orders.mail.sender import Sender
from orders.mail.transport import DeferredError, OutgoingMail
from orders.mail.worker import MailHandler
from orders.settings import Settings
from tests.support.mailing import eventually, order_data, received, run_command
from tests.support.mails import rows

LEASE = timedelta(seconds=60)
ORDERS = 20_000


def note(database: Database, *steps: tuple[str, UUID], **changed: Any) -> None:
    """Have a mail-worker note what it is told in one batch."""
    handler = MailHandler(database)
    events = [received(handler, f"order.{step}", order_data(uid=u, **changed)) for step, u in steps]
    handler.apply(events)


def claimed(database: Database, grace: timedelta | None = mail_claims.GRACE) -> Mail | None:
    """Claim the mail that is due."""
    with database.transaction() as connection:
        found = mail_claims.claim(connection, LEASE, grace=grace)
    return found[0] if found else None


def change(database: Database, statement: str) -> None:
    """Change the table behind everybody's back."""
    with database.autocommit() as connection:
        connection.execute(text(statement))


def sent(database: Database, mail: Mail) -> None:
    """Note that a mail is sent."""
    with database.transaction() as connection:
        mail_claims.mark_sent(connection, [mail])


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


def test_later_mails_wait_for_a_confirmation_that_another_worker_has_claimed(
    orders_db: Database,
) -> None:
    note(orders_db, ("completed", uuid4()))
    assert claimed(orders_db) is None
    change(orders_db, "UPDATE mails SET next_attempt_at = now()")
    assert steps_sent(orders_db) == ["completed"]


def test_a_deferred_confirmation_holds_back_later_mails_of_its_order_only(
    orders_db: Database,
) -> None:
    note(orders_db, ("created", uuid4()))
    first = claimed(orders_db)
    assert first is not None
    note(orders_db, ("completed", first.uid), ("created", uuid4()))
    with orders_db.transaction() as connection:
        mail_claims.defer(connection, first, "the server is unavailable", LEASE)
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
    with orders_db.autocommit() as connection:
        connection.execute(text(fill), {"data": data.encode()})
    newest = "(SELECT max(id) FROM mails WHERE in_turn)"
    change(orders_db, f"UPDATE mails SET next_attempt_at = now() WHERE id = {newest}")
    statement = mail_claims._claiming(uuid4(), LEASE, "waiting", mail_claims.GRACE)
    with orders_db.transaction() as connection:
        mail_claims.never_sort(connection)
        explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
        compiled = statement.compile(connection, compile_kwargs={"render_postcompile": True})
        driver = connection.connection.cursor()
        driver.execute(explain + str(compiled), compiled.params)
        [[[plan]]] = driver.fetchall()
        connection.rollback()
    shown = json.dumps(plan)
    assert "mails_due" in shown and "Seq Scan" not in shown, shown
    blocks = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    assert blocks < 400, shown


def test_a_batch_reads_its_own_mails_only_after_a_time_when_all_were_sent(
    orders_db: Database,
) -> None:
    fill = (
        "INSERT INTO mails (order_uid, step, order_id, customer_id, data, headers, state, "
        "recipient) SELECT gen_random_uuid(), 'created', 'O', '1', '{}', '{}', :state, :to "
        f"FROM generate_series(1, {ORDERS})"
    )
    # the statistics stay as they are
    change(orders_db, "ALTER TABLE mails SET (autovacuum_enabled = off)")
    with orders_db.autocommit() as connection:
        connection.execute(text(fill), {"state": "sent", "to": None})
        connection.execute(text("VACUUM ANALYZE mails"))
        connection.execute(text(fill), {"state": "waiting", "to": "ben@kawa.fr"})
    try:
        with orders_db.transaction() as connection, explained(connection) as read:
            found = mail_claims.claim(connection, LEASE, limit=50)
            assert mail_claims.lock(connection, found) == found
            mail_claims.defer(connection, found[0], "the server is unavailable", LEASE)
            mail_claims.mark_refused(connection, found[1], "550", "letter")
            mail_claims.mark_sent(connection, found[2:])
            note_in(connection, *(("created", uuid4()) for _ in range(50)))
            connection.rollback()
    finally:
        change(orders_db, "ALTER TABLE mails RESET (autovacuum_enabled)")
    assert len(read) > 5
    assert {statement: rows for statement, rows in read.items() if rows > 500} == {}


@contextmanager
def explained(connection: Connection) -> Iterator[dict[str, int]]:
    """Note for each statement about mails how many rows it has read."""
    read: dict[str, int] = {}

    def explain(driver: Any, name: str, statement: str, values: Any) -> None:
        if "mails" in name and "lock" not in name:
            beside = driver.cursor()
            beside.execute("SAVEPOINT explained")
            beside.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, values)
            [[[plan]]] = beside.fetchall()
            beside.execute("ROLLBACK TO explained")
            read[name] = rows_read(plan["Plan"])

    def each(_connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        explain(cursor.connection, statement, statement, values)

    def each_prepared(self: Any, driver: Any, cursor: Any, values: Any) -> None:
        plan = driver.prepared.get(self) or self._prepare(driver, cursor, None)
        explain(driver, self._text, plan.execute, values)
        execute(self, driver, cursor, values)

    event.listen(connection, "before_cursor_execute", each)
    execute = prepared._Prepared._execute
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared._Prepared, "_execute", each_prepared)
        yield read


def rows_read(plan: dict[str, Any]) -> int:
    """Return how many rows the nodes of a plan have read, those that they left out included."""
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    return int(own * plan["Actual Loops"]) + sum(map(rows_read, plan.get("Plans", [])))


def note_in(connection: Connection, *steps: tuple[Any, UUID]) -> None:
    """Record mails in a transaction."""
    causes = [
        Cause(step, OrderData.model_validate(order_data(uid=uid)), "event", None)
        for step, uid in steps
    ]
    mail_recording.record(connection, causes)


def test_renewing_claims_and_locking_the_mails_of_a_batch_never_deadlock(
    orders_db: Database,
) -> None:
    note(orders_db, *(("created", uuid4()) for _ in range(2)))
    with orders_db.transaction() as connection:
        batch = mail_claims.claim(connection, LEASE, limit=2)
    # the first one's row is behind the second one's now
    change(orders_db, f"UPDATE mails SET error = 'x' WHERE id = {batch[0].id}")
    claim = batch[0].claim
    assert claim is not None

    def locked() -> Sequence[Mail]:
        with orders_db.transaction() as connection:
            return mail_claims.lock(connection, batch)

    def renewed() -> set[UUID]:
        with orders_db.transaction() as connection:
            return mail_claims.renew(connection, [claim], LEASE)

    with ThreadPoolExecutor() as pool:
        with orders_db.transaction() as connection:
            row = f"SELECT FROM mails WHERE id = {batch[0].id} FOR UPDATE"
            connection.execute(text(row))
            waiting = pool.submit(locked)
            eventually(lambda: waiting_for_locks(orders_db) == 1, "the batch to wait")
            beside = pool.submit(renewed)
            eventually(lambda: waiting_for_locks(orders_db) == 2, "both to wait")
        assert waiting.result() == batch
        assert beside.result() == {claim}


def test_a_claim_is_not_renewed_on_a_mail_that_was_sent_while_the_renewal_waited(
    orders_db: Database,
) -> None:
    note(orders_db, ("created", uuid4()))
    with orders_db.transaction() as connection:
        [mail] = mail_claims.claim(connection, LEASE)
    claim = mail.claim
    assert claim is not None

    def renewed() -> set[UUID]:
        with orders_db.transaction() as connection:
            return mail_claims.renew(connection, [claim], 10 * LEASE)

    with ThreadPoolExecutor() as pool:
        with orders_db.transaction() as connection:
            mail_claims.mark_sent(connection, [mail])
            waiting = pool.submit(renewed)
            eventually(lambda: waiting_for_locks(orders_db) == 1, "the renewal to wait")
        assert waiting.result() == set()
    assert [row.state for row in rows(orders_db)] == ["sent"]


def waiting_for_locks(database: Database) -> int:
    """Return how many transactions wait for a lock."""
    with database.autocommit() as connection:
        count = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
        return int(connection.execute(text(count)).scalar_one())


def test_a_stale_claim_stays_with_a_holder_who_renews_it(orders_db: Database) -> None:
    note(orders_db, ("created", uuid4()))
    mail = claimed(orders_db)
    assert mail is not None and mail.claim is not None
    # the database was gone for longer than the lease
    change(orders_db, "UPDATE mails SET next_attempt_at = now() - interval '1 hour'")
    assert claimed(orders_db) is None
    with orders_db.autocommit() as connection:
        mail_claims.renew(connection, [mail.claim], LEASE)
    [row] = rows(orders_db)
    assert (row.claim, row.doubted, row.attempts) == (mail.claim, None, 1)
    assert claimed(orders_db) is None


def test_a_claim_that_nobody_renews_is_taken_over_after_the_grace_period(
    orders_db: Database,
) -> None:
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

    name, lease = "taking", LEASE
    is_local: Literal[False] = False

    def __init__(self, database: Database) -> None:
        self.taken: list[str] = []
        self.other: Sender | None = None
        self.database = database

    def deliver(self, letter: OutgoingMail) -> None:
        """Take a mail; meanwhile the database was gone for longer than a lease."""
        self.taken.append(letter.name)
        if self.other is not None:
            change(self.database, "UPDATE mails SET next_attempt_at = now() - interval '1 hour'")
            other, self.other = self.other, None
            assert not other.work()


def test_no_second_sender_takes_a_claimed_mail_after_the_database_was_down_for_a_lease(
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
    with orders_db.transaction() as connection:
        mail_claims.mark_refused(connection, first, "550 <ben@kawa.fr> is unknown", "letter")
    handler = consumer.handler(orders_db)
    handler.apply([received(handler, "customer.deleted", {"id": 7})])
    note(orders_db, ("completed", uids[1]), customer_id="7")
    found = [row for row in rows(orders_db) if row.customer_id == "7"]
    assert [row.state for row in found] == ["refused", "unknown", "unaddressed"]
    for row in found:
        assert "ben@kawa.fr" not in f"{row.recipient} {row.error} {bytes(row.data)!r}"
    [other] = [row for row in rows(orders_db) if row.customer_id == "8"]
    assert (other.state, other.recipient) == ("waiting", "ben@kawa.fr")


def test_every_kind_of_failure_counts_against_that_mail_alone(
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
    monkeypatch.setattr("orders.mail.sender.render", lambda *_given: [][1])
    note(orders_db, ("created", uuid4()))
    assert sender.work()
    assert rows(orders_db)[-1].state == "refused"
    assert "IndexError" in rows(orders_db)[-1].error


def test_a_claim_holds_while_it_is_renewed_and_not_half_a_lease_longer(
    orders_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, held, now = Taking(orders_db), [], [0.0]
    sender = Sender(orders_db, way, "shop@kawa.fr", "mail_inbox.dlq", threading.Event())
    monkeypatch.setattr("orders.mail.sender.time.monotonic", lambda: now[0])

    def deliver(letter: OutgoingMail) -> None:
        for seconds, renews in ((29, False), (29, True), (31, False), (31, True)):
            now[0] += seconds
            if renews:
                sender.renew_claims()
            held.append(letter.is_held())

    monkeypatch.setattr(way, "deliver", deliver)
    note(orders_db, ("created", uuid4()))
    assert sender.work()
    assert held == [True, True, False, True]


def test_finding_an_address_and_deleting_its_customer_do_not_block_each_other(
    orders_db: Database, orders_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(orders_db, ("created", uuid4()), email=None, customer_id="7")
    answer = CustomerData(id=7, name="Ben", email="ben@kawa.fr")
    monkeypatch.setattr(customers_api, "ask", lambda *_arguments: answer)
    client = ServiceClient(orders_settings.customers)
    addressing = RecipientLookup(orders_db, client, threading.Event())
    worker = threading.Thread(target=addressing.work)
    with orders_db.transaction() as deletion:
        mark_deleted(deletion, DeletedCustomer(id=7))
        worker.start()
        wait_until_one_waits(orders_db, worker)
        mails.erase_customers(deletion, [7])
    worker.join(10)
    [row] = rows(orders_db)
    assert (row.state, row.recipient) == ("unknown", None)


@contextmanager
def started(act: Callable[[], object], database: Database) -> Iterator[None]:
    """Have a thread act, until it is done or waits for a lock; join it at the block's end."""
    worker = threading.Thread(target=act)
    worker.start()
    wait_until_one_waits(database, worker)
    yield
    worker.join(10)
    assert not worker.is_alive()


def recording(handler: MailHandler, connection: Connection) -> None:
    """Record a mail to customer 7 as a mail-worker does, and leave the transaction open."""
    event = received(handler, "order.created", order_data(customer_id="7"))
    mail_worker._lock(connection, [event])
    mail_recording.record(connection, [Cause("created", event.data, event.id, None)])


def deleting(handler: EventHandler, connection: Connection) -> None:
    """Delete customer 7 as orders-consumer does, and leave the transaction open."""
    event = received(handler, "customer.deleted", {"id": 7})
    consumer._lock(connection, [event])
    REACTIONS[event.type].act(connection, event.data, event.id)


def replicated(database: Database) -> None:
    """Have the replica know customer 7."""
    with database.autocommit() as connection:
        insert_if_absent(connection, CustomerData(id=7, name="Ben", email="ben@kawa.fr"))
    change(database, "UPDATE customers SET noted_at = noted_at - interval '1 hour'")


@pytest.mark.parametrize("is_known", [True, False])
def test_a_mail_that_is_recorded_while_its_customer_is_deleted_ends_without_an_address(
    is_known: bool, orders_db: Database
) -> None:
    if is_known:
        replicated(orders_db)
    handler = consumer.handler(orders_db)
    gone = [received(handler, "customer.deleted", {"id": 7})]
    with orders_db.transaction() as connection:
        recording(MailHandler(orders_db), connection)
        with started(lambda: handler.apply(gone), orders_db):
            connection.commit()
    [row] = rows(orders_db)
    assert (row.state, row.recipient) == ("unknown", None)
    assert b"ben@kawa.fr" not in bytes(row.data)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_mail_that_comes_while_its_customer_is_deleted_gets_no_address(
    is_known: bool, orders_db: Database
) -> None:
    if is_known:
        replicated(orders_db)
    with orders_db.transaction() as connection:
        deleting(consumer.handler(orders_db), connection)
        created = ("created", uuid4())
        with started(lambda: note(orders_db, created, customer_id="7"), orders_db):
            connection.commit()
    [row] = rows(orders_db)
    assert (row.state, row.recipient) == ("unaddressed", None)
    assert b"ben@kawa.fr" not in bytes(row.data)


def test_a_mail_that_is_recorded_while_a_rebuild_deletes_its_customer_ends_without_an_address(
    orders_db: Database, orders_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    replicated(orders_db)
    monkeypatch.setattr(customers_api, "_pages", lambda _client: iter(()))
    client = ServiceClient(orders_settings.customers)
    with orders_db.transaction() as connection:
        recording(MailHandler(orders_db), connection)
        with started(lambda: customers_api.rebuild(orders_db, client), orders_db):
            connection.commit()
    [row] = rows(orders_db)
    assert (row.state, row.recipient) == ("unknown", None)


def test_deletions_in_any_order_and_mails_do_not_deadlock(
    orders_db: Database,
) -> None:
    uids = [uuid4() for _ in range(8)]
    workers, deleter = MailHandler(orders_db), consumer.handler(orders_db)
    batches: list[Callable[[], None]] = []
    for turn in (1, -1, 1):
        events = [
            received(workers, "order.created", order_data(uid=uid, customer_id=str(number)))
            for number, uid in enumerate(uids, 1)
        ]
        gone = [received(deleter, "customer.deleted", {"id": number}) for number in range(1, 9)]
        batches.append(partial(workers.apply, events[::turn]))
        batches.append(partial(deleter.apply, gone[::turn]))
    with ThreadPoolExecutor(len(batches)) as pool:
        for done in [pool.submit(batch) for batch in batches]:
            done.result(30)
    assert {row.recipient for row in rows(orders_db)} == {None}


BROKEN = ["{}", "not JSON", "[]", '{"uid": 1}', '{"a": 1, "a": 2}', ""]


@pytest.mark.parametrize("data", BROKEN)
def test_an_unreadable_row_counts_against_its_mail_alone(data: str, orders_db: Database) -> None:
    way = Taking(orders_db)
    sender = Sender(orders_db, way, "shop@kawa.fr", "mail_inbox.dlq", threading.Event())
    note(orders_db, ("created", uuid4()), order_id="broken\x1b=?utf-8?q?=0a?=")
    with orders_db.autocommit() as connection:
        broken = text("UPDATE mails SET data = :data, headers = '[]'")
        connection.execute(broken, {"data": data.encode()})
    note(orders_db, ("created", uuid4()))
    while sender.work():
        pass
    first, second = rows(orders_db)
    assert (first.state, second.state) == ("refused", "sent")
    assert first.error.startswith("the mail can't be written: ")
    with orders_db.autocommit() as connection:
        [letter] = connection.execute(text("SELECT message_id, routing_key FROM outbox")).all()
    assert letter == (first.dead_letter, "mail_inbox.dlq")


def test_the_commands_list_and_show_what_cannot_be_read(
    orders_db: Database, orders_settings: Settings, tmp_path: Path
) -> None:
    note(orders_db, ("created", uuid4()), order_id="broken\x1b=?utf-8?q?=0a?=")
    change(orders_db, "UPDATE mails SET data = '{}'")
    note(orders_db, ("created", uuid4()))
    listed = run_command(orders_settings, tmp_path, "mail", "list", SMTP_HOST="127.0.0.1")
    assert [line.split()[2] for line in listed.splitlines()[:-1]] == ["waiting", "waiting"]
    assert r"broken\u001b=?utf-8?q?=0a?=" in listed
    arguments = ("mail", "show", f"{rows(orders_db)[0].order_uid}.created")
    shown = run_command(orders_settings, tmp_path, *arguments, SMTP_HOST="127.0.0.1")
    assert "the mail can't be written" in shown and shown.endswith("status 0\n")
    assert "\x1b" not in listed + shown


def test_a_row_that_cannot_be_read_is_addressed_and_refused_when_it_is_sent(
    orders_db: Database, orders_settings: Settings
) -> None:
    replicated(orders_db)
    note(orders_db, ("created", uuid4()), email=None, customer_id="7")
    change(orders_db, "UPDATE mails SET data = 'broken', state = 'unaddressed', recipient = NULL")
    addressing = RecipientLookup(
        orders_db, ServiceClient(orders_settings.customers), threading.Event()
    )
    assert addressing.work()
    assert [row.state for row in rows(orders_db)] == ["waiting"]


@pytest.mark.parametrize("data", BROKEN)
def test_a_row_that_cannot_be_read_stops_no_deletion_of_its_customer(
    data: str, orders_db: Database
) -> None:
    note(orders_db, ("created", uuid4()), ("created", uuid4()), customer_id="7")
    with orders_db.autocommit() as connection:
        broken = text("UPDATE mails SET data = :data WHERE id = (SELECT min(id) FROM mails)")
        connection.execute(broken, {"data": data.encode()})
    handler = consumer.handler(orders_db)
    handler.apply([received(handler, "customer.deleted", {"id": 7})])
    assert [(row.state, row.recipient) for row in rows(orders_db)] == [("unknown", None)] * 2
    assert not any(b"ben@kawa.fr" in bytes(row.data) for row in rows(orders_db))


def wait_until_one_waits(database: Database, worker: threading.Thread) -> None:
    """Wait until a session waits for another's lock, or the worker is done without."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    end = time.monotonic() + 10
    with database.autocommit() as connection:
        while worker.is_alive() and not connection.execute(waiting).scalar_one():
            assert time.monotonic() < end
            time.sleep(0.02)


class Interrupted(Maildir):
    """A Maildir whose first delivery fails when the files are there, and a mail reader has come."""

    def __init__(self, directory: Path, fault: Callable[[], object]) -> None:
        super().__init__(directory)
        self._path, self._fault, self._is_first = directory, fault, True

    def deliver_all(self, mails: Sequence[OutgoingMail]) -> None:
        """Deliver; the first time, have the mails read, and fail."""
        super().deliver_all(mails)
        if self._is_first:
            self._is_first = False
            for mail in mails:
                name = f"{mail.name}:2,S"
                (self._path / "new" / mail.name).rename(self._path / "cur" / name)
            self._fault()


def unsynced() -> None:
    """Fail as a directory that can't be synced."""
    raise DeferredError("the Maildir can't be written: I/O error")


@pytest.mark.parametrize("fault", ["file system", "database"])
def test_mails_that_were_read_before_they_were_marked_are_not_filed_again(
    orders_db: Database, tmp_path: Path, fault: str
) -> None:
    end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    act = unsynced if fault == "file system" else partial(change, orders_db, end)
    delivery = Interrupted(tmp_path, act)
    sender = Sender(orders_db, delivery, "shop@kawa.fr", "mail_inbox.dlq", threading.Event())
    note(orders_db, *(("created", uuid4()) for _ in range(3)))
    while sender.work():
        pass
    assert {row.state for row in rows(orders_db)} == {"sent"}
    assert len(list((tmp_path / "cur").iterdir())) == 3
    assert list((tmp_path / "new").iterdir()) == []
