"""mail-worker with a Maildir, on a real broker and a real database, killed at any moment."""

import mailbox
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from flask.testing import FlaskClient
from pika.adapters.blocking_connection import BlockingChannel
from sqlalchemy import text

from chassis.http import client as service_client
from chassis.schema.validation import validated
from chassis.settings import Upstream
from chassis.storage.database import Database
from orders.mail import claims as mail_claims
from orders.mail import recording
from orders.mail.message import OrderData, compose
from orders.mail.recording import Cause
from orders.settings import Settings
from tests.support.databases import altered
from tests.support.mailing import (
    EPOCH,
    channel_of,
    eventually,
    order_data,
    publish,
    run_command,
    served,
    worker_process,
)
from tests.support.mails import DEAD, rows, wait_for_states, working
from tests.support.process import Process
from tests.support.raw_upstream import RawUpstream
from tests.support.settings import port

STEPS = ("created", "completed", "cancelled")
ENCODED = ("=?utf-8?q??=@x.test", "=?x?q?ceo?=@corp.test", "=?utf-8?q?ceo?=@corp.test")
TEN = [uuid4() for _ in range(10)]


@pytest.fixture
def worker(orders_settings: Settings, channel: BlockingChannel) -> Iterator[None]:
    """A mail-worker."""
    with working(orders_settings):
        yield


def filed(settings: Settings) -> dict[str, EmailMessage]:
    """The mails in the Maildir, as a mail reader would find them."""
    home = settings.mail.mail_dir
    # a worker makes one after the other
    if not all((home / name).is_dir() for name in ("tmp", "new", "cur")):
        return {}
    box = mailbox.Maildir(home, create=False)
    return {
        key: message_from_bytes(box.get_bytes(key), policy=default)
        for key in box.keys()  # noqa: SIM118
    }


def wait_for_mails(settings: Settings, count: int, seconds: float = 30) -> dict[str, EmailMessage]:
    """Wait until there are so many."""
    eventually(lambda: len(filed(settings)) >= count, f"{count} mails", seconds)
    found = filed(settings)
    assert len(found) == count, sorted(found)
    return found


def test_each_step_of_an_order_makes_one_mail(
    worker: None, channel: BlockingChannel, orders_settings: Settings
) -> None:
    uid = uuid4()
    for step in STEPS:
        reason = "2 of Metropolis are not in stock" if step == "cancelled" else None
        publish(channel, f"order.{step}", order_data(uid=uid, reason=reason))
    found = wait_for_mails(orders_settings, 3)
    assert set(found) == {f"{uid}.{step}" for step in STEPS}
    for step in STEPS:
        mail = found[f"{uid}.{step}"]
        assert mail["From"] == "orders@localhost"
        assert mail["To"] == "ben@kawa.fr"
        assert mail["Message-ID"] == f"<{uid}.{step}@localhost>"
        assert parsedate_to_datetime(mail["Date"]).tzinfo is not None
        assert mail.get_content_type() == "text/plain"
        assert mail.get_content_charset() == "utf-8"
        assert "CMD001" in mail["Subject"]
        assert "   2 x Metropolis, 12.50 each: 25.00" in mail.get_content()
        assert "Total: 25.00" in mail.get_content()
    assert "2 of Metropolis are not in stock" in found[f"{uid}.cancelled"].get_content()
    assert "Reason" not in found[f"{uid}.completed"].get_content()


def test_other_events_make_no_mail(
    worker: None, channel: BlockingChannel, orders_settings: Settings, orders_db: Database
) -> None:
    for type in ("order.updated", "order.deleted", "order.created"):
        publish(channel, type, order_data())
    wait_for_mails(orders_settings, 1)
    assert [row.step for row in rows(orders_db)] == ["created"]


def test_a_repeated_event_makes_no_second_mail_with_the_same_id_or_another(
    worker: None, channel: BlockingChannel, orders_settings: Settings, orders_db: Database
) -> None:
    data, id = order_data(), uuid4()
    for event_id in (id, id, uuid4()):
        publish(channel, "order.created", data, event_id)
    wait_for_mails(orders_settings, 1)
    publish(channel, "order.created", data, id)
    publish(channel, "order.created", order_data())
    wait_for_mails(orders_settings, 2)
    assert len(rows(orders_db)) == 2


def test_an_invalid_order_event_is_dead_lettered_and_delays_nothing(
    worker: None, channel: BlockingChannel, orders_settings: Settings
) -> None:
    publish(channel, "order.created", {"uid": "none"})
    publish(channel, "order.created", order_data())
    wait_for_mails(orders_settings, 1)
    eventually(lambda: channel.basic_get(DEAD, auto_ack=True)[0] is not None, "a dead letter")


def test_the_address_comes_from_the_replica_if_the_event_lacks_it(
    worker: None, channel: BlockingChannel, orders_settings: Settings, orders_db: Database
) -> None:
    with orders_db.autocommit() as connection:
        connection.execute(
            text("INSERT INTO customers VALUES (7, 'Ada', 'ada@kawa.fr', NULL, now())")
        )
    publish(channel, "order.created", order_data(email=None, customer_id="7"))
    [mail] = wait_for_mails(orders_settings, 1).values()
    assert mail["To"] == "ada@kawa.fr"


def test_the_customers_api_is_asked_for_a_customer_who_is_not_in_the_copy(
    worker: None,
    channel: BlockingChannel,
    orders_settings: Settings,
    customers: FlaskClient,
    orders_db: Database,
) -> None:
    ada = customers.post("/api/customers", json={"name": "Ada", "email": "ada@kawa.fr"}).get_json()
    with served(customers.application, orders_settings.customers.port):
        publish(channel, "order.created", order_data(email=None, customer_id=str(ada["id"])))
        [mail] = wait_for_mails(orders_settings, 1).values()
    assert mail["To"] == "ada@kawa.fr"
    with orders_db.autocommit() as connection:
        known = connection.execute(text("SELECT email FROM customers")).scalars().all()
    assert known == ["ada@kawa.fr"]


def test_mails_wait_for_an_unavailable_customers_api_and_block_no_other(
    worker: None,
    channel: BlockingChannel,
    orders_settings: Settings,
    customers: FlaskClient,
    orders_db: Database,
) -> None:
    ada = customers.post("/api/customers", json={"name": "Ada", "email": "ada@kawa.fr"}).get_json()
    for _ in range(20):
        publish(channel, "order.created", order_data(email=None, customer_id=str(ada["id"])))
    publish(channel, "order.created", order_data(email="ben@kawa.fr"))
    wait_for_mails(orders_settings, 1)
    eventually(lambda: all(row.error for row in rows(orders_db)[:20]), "an attempt for each")
    assert {row.state for row in rows(orders_db)[:20]} == {"unaddressed"}
    with served(customers.application, orders_settings.customers.port):
        wait_for_mails(orders_settings, 21, 60)


def test_while_the_customers_api_is_asked_no_row_is_locked_and_no_transaction_is_open(
    upstream: RawUpstream,
    channel: BlockingChannel,
    orders_settings: Settings,
    orders_db: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service_client, "SECONDS", 60)
    body = b'{"id": 7, "name": "Ada", "email": "old@kawa.fr"}'
    held = threading.Event()

    def answer_at_last(connection: socket.socket) -> None:
        held.wait(50)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    upstream.acts = [answer_at_last]
    customers = Upstream("customers-api", "127.0.0.1", upstream.port)
    with working(replace(orders_settings, customers=customers)):
        publish(channel, "order.created", order_data(email=None, customer_id="7"))
        eventually(lambda: len(upstream.requests) == 1, "the API to be asked")
        with orders_db.transaction() as connection:
            # fails at once if somebody else has locked it
            connection.execute(text("SELECT id FROM mails FOR UPDATE NOWAIT"))
        with orders_db.autocommit() as connection:
            idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
            of_here = text(f"{idle} AND datname = current_database()")
            assert connection.execute(of_here).scalar() == 0
        # what an event tells meanwhile is newer than the answer
        with orders_db.autocommit() as connection:
            connection.execute(
                text(
                    "INSERT INTO customers (id, name, email, noted_at)"
                    " VALUES (7, 'Ada', 'new@kawa.fr', now())"
                )
            )
        held.set()
        [mail] = wait_for_mails(orders_settings, 1).values()
    assert mail["To"] == "new@kawa.fr"


def test_a_worker_that_lost_its_claim_gives_no_address(orders_db: Database) -> None:
    """As one that was frozen while it asked the API."""
    with orders_db.transaction() as connection:
        data = validated(OrderData, order_data(email=None, customer_id="CLIENT123"))
        recording.record(connection, [Cause("created", data, "1", None)])
        [slow] = mail_claims.claim(connection, timedelta(), "unaddressed")
    with orders_db.transaction() as connection:
        [other] = mail_claims.claim(connection, timedelta(minutes=1), "unaddressed")
    with orders_db.transaction() as connection:
        assert not mail_claims.lock(connection, [slow])
        mail_claims.defer(connection, slow, "too late", timedelta())
        assert mail_claims.lock(connection, [other])
    [row] = rows(orders_db)
    assert (row.claim, row.error) == (other.claim, None)


@pytest.mark.parametrize("customer_id", ["CLIENT123", "4711"])
def test_an_unknown_customer_gets_no_mail_and_is_logged_once_per_order(
    customer_id: str,
    worker: None,
    channel: BlockingChannel,
    orders_settings: Settings,
    customers: FlaskClient,
    orders_db: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served(customers.application, orders_settings.customers.port):
        for uid in TEN[:2]:
            for step in STEPS:
                data = order_data(uid=uid, email=None, customer_id=customer_id)
                publish(channel, f"order.{step}", data)
        wait_for_states(orders_db, unknown=6)
    said = [record for record in caplog.records if "no such customer" in record.message]
    assert len(said) == 2
    assert filed(orders_settings) == {}


def test_a_customer_who_is_deleted_gets_no_mail_and_nobody_is_asked(
    worker: None, channel: BlockingChannel, orders_db: Database
) -> None:
    with orders_db.autocommit() as connection:
        connection.execute(
            text("INSERT INTO customers (id, noted_at, forgotten) VALUES (7, now(), true)")
        )
    publish(channel, "order.created", order_data(email=None, customer_id="7"))
    wait_for_states(orders_db, unknown=1)


def test_a_mail_of_an_earlier_attempt_is_found_wherever_a_mail_reader_has_moved_it(
    channel: BlockingChannel, orders_settings: Settings, orders_db: Database
) -> None:
    uids = {name: uuid4() for name in ("new", "cur", "tmp")}
    home = orders_settings.mail.mail_dir
    for name, uid in uids.items():
        (home / name).mkdir(parents=True)
        flags = ":2,S" if name == "cur" else ""
        (home / name / f"{uid}.created{flags}").write_text("X-Order-ID: earlier\n\nearlier\n")
        publish(channel, "order.created", order_data(uid=uid))
    # as if each had been claimed by a worker that was killed
    claimed, back = "ALTER attempts SET DEFAULT 1", "ALTER TABLE mails ALTER attempts SET DEFAULT 0"
    with altered(orders_db, "mails", claimed, back), working(orders_settings):
        wait_for_states(orders_db, sent=3)
    found = wait_for_mails(orders_settings, 3)
    texts = {name: found[f"{uid}.created"].get_content() for name, uid in uids.items()}
    assert texts["new"] == texts["cur"] == "earlier\n"
    assert "CMD001" in texts["tmp"]
    assert list((home / "tmp").iterdir()) == []


@pytest.fixture
def workers(orders_settings: Settings, tmp_path: Path) -> Iterator[list[Process]]:
    """Two mail-workers, as PM2 would run them."""
    both = []
    for _ in range(2):
        settings = replace(orders_settings, mail_port=port())
        both.append(worker_process(settings, tmp_path))
        both[-1].start()
    yield both
    for one in both:
        one.end()


def test_killed_at_any_moment_two_workers_file_each_mail_once(
    channel: BlockingChannel,
    orders_settings: Settings,
    orders_db: Database,
    workers: list[Process],
) -> None:
    uids = [uuid4() for _ in range(120)]
    for number in range(3):
        before = len(filed(orders_settings))
        with channel_of(orders_settings.broker) as own:
            for uid in uids[number * 40 : (number + 1) * 40]:
                publish(own, "order.created", order_data(uid=uid))
        wait_for_more_mails(orders_settings, before + 1)
        workers[number % 2].kill()
        workers[number % 2].start()
    wait_for_states(orders_db, sent=120)
    assert set(wait_for_mails(orders_settings, 120)) == {f"{uid}.created" for uid in uids}
    assert list((orders_settings.mail.mail_dir / "tmp").iterdir()) == []
    assert "Traceback" not in "".join(one.log() for one in workers)


def wait_for_more_mails(settings: Settings, count: int) -> None:
    """Wait until there are at least so many."""
    eventually(lambda: len(filed(settings)) >= count, f"{count} mails")


def test_mails_wait_for_an_unwritable_maildir_which_is_reported_as_down(
    channel: BlockingChannel, orders_settings: Settings, orders_db: Database
) -> None:
    home = orders_settings.mail.mail_dir
    home.write_text("in the way")
    ready = f"http://127.0.0.1:{orders_settings.mail_port.port}/ready"
    with working(orders_settings):
        publish(channel, "order.created", order_data())
        eventually(lambda: any(row.error for row in rows(orders_db)), "an attempt")
        checks = requests.get(ready, timeout=5).json()["checks"]
        assert checks["maildir"]["status"] == "down"
        home.unlink()
        wait_for_mails(orders_settings, 1)
        assert requests.get(ready, timeout=5).status_code == 200
        metrics = requests.get(ready.replace("ready", "metrics"), timeout=5).text
    assert 'mails_total{outcome="sent",step="created"}' in metrics


def test_a_mail_that_cannot_be_composed_is_refused_and_delays_no_other(
    worker: None, channel: BlockingChannel, orders_settings: Settings, orders_db: Database
) -> None:
    publish(channel, "order.created", order_data(email="no address, none@all"))
    publish(channel, "order.created", order_data())
    wait_for_states(orders_db, refused=1, sent=1)
    assert "the mail can't be written" in rows(orders_db)[0].error


def test_the_commands_list_and_show_what_the_maildir_holds(
    worker: None, channel: BlockingChannel, orders_settings: Settings, tmp_path: Path
) -> None:
    assert (
        run_command(orders_settings, tmp_path, "mail", "list")
        == "no mail was written yet\nstatus 0\n"
    )
    uid = uuid4()
    publish(channel, "order.created", order_data(uid=uid, order_id="Größe 7"))
    wait_for_mails(orders_settings, 1)
    [line, status] = run_command(orders_settings, tmp_path, "mail", "list").splitlines()
    assert line.startswith(f"{uid}.created  20")
    assert line.endswith("ben@kawa.fr  Order Größe 7: thank you, we have it  Größe 7")
    assert status == "status 0"
    shown = run_command(orders_settings, tmp_path, "mail", "show", f"{uid}.created")
    assert "To: ben@kawa.fr\n" in shown
    assert "thank you for your order Größe 7." in shown
    assert "status 1" in run_command(orders_settings, tmp_path, "mail", "show", "none")


def written(**changed: Any) -> EmailMessage:
    """A mail, sent and read again."""
    recipient = changed.pop("recipient", "ben@kawa.fr")
    order = OrderData(**order_data(**changed))
    message = compose(order, "created", "Shop <shop@kawa.fr>", recipient, EPOCH)
    return message_from_bytes(message.as_bytes(), policy=default)


def test_no_text_of_an_order_adds_a_header_or_a_line() -> None:
    mail = written(order_id="A\nBcc: eve@kawa.fr\r\n\r\nB\x1b[1m")
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Order A Bcc: eve@kawa.fr B [1m: thank you, we have it"
    assert mail["X-Order-ID"] == "A Bcc: eve@kawa.fr B [1m"


@pytest.mark.parametrize(
    "word", ["=?utf-8?q?=1b=00=0d=0aBcc=3a?=", "=?utf-8?q??=", "é =?x?b?QQ==?="]
)
def test_what_looks_like_an_encoded_word_in_an_order_is_not_decoded(word: str) -> None:
    mail = written(order_id=word)
    assert mail["X-Order-ID"] == word
    assert mail["Subject"] == f"Order {word}: thank you, we have it"
    raw = mail.as_bytes()
    assert b"\x1b" not in raw and b"\x00" not in raw and b"Bcc:" not in raw


def test_letters_of_any_script_arrive_in_lines_that_any_server_accepts() -> None:
    names = ["七人の侍", "Amélie", "x" * 255]
    lines = [
        {"product_id": n, "name": name, "quantity": 1, "unit_price": 1}
        for n, name in enumerate(names)
    ]
    mail = written(order_id="Größe", lines=lines)
    assert all(name in mail.get_content() for name in names)
    raw = mail.as_bytes()
    assert raw.isascii()
    assert max(map(len, raw.splitlines())) <= 998


def test_a_domain_is_written_in_ascii_and_a_local_part_unchanged() -> None:
    assert written(recipient="ben@straße.de")["To"] == "ben@xn--strae-oqa.de"
    assert written(recipient="jürgen@straße.de")["To"] == "jürgen@xn--strae-oqa.de"


@pytest.mark.parametrize(
    "recipient", ["", "ben", "a@b, c@d", "a@b\nBcc: c@d", "<a@b>", "a@ö..de", *ENCODED]
)
def test_an_invalid_address_makes_no_mail(recipient: str) -> None:
    with pytest.raises(ValueError):
        written(recipient=recipient)


def test_a_bare_order_has_no_lines_in_its_mail() -> None:
    mail = written(lines=[])
    assert " x " not in mail.get_content()
    assert "Total: 25.00" in mail.get_content()
