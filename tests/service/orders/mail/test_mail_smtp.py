"""mail-worker with a real mail server, that takes, refuses, delays and drops what it is told to."""

import select
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import SecretStr
from sqlalchemy import text

from chassis.errors import SettingsError
from chassis.messaging.declarations import of_queue
from chassis.messaging.dlq_commands import DeadLetterQueue
from chassis.storage.database import Database
from orders.mail import (
    settings as mail_settings,
)
from orders.mail import (
    smtp as mail_smtp,
)
from orders.mail.message import OrderData, render
from orders.mail.settings import MailSettings
from orders.mail.transport import DeferredError, OutgoingMail, RefusedError
from orders.settings import Settings
from tests.support.at_work import at_work
from tests.support.mail_server import Postman, by_smtp, serving
from tests.support.mailing import (
    EPOCH,
    eventually,
    order_data,
    publish,
    run_command,
    worker_process,
)
from tests.support.mails import QUEUE, rows, wait_for_states, working
from tests.support.relaying import relay_until
from tests.support.settings import port
from tools.stack.ports import free_port

SECONDS = 90.0
USER, PASSWORD = "mailer", "a password of the tests'"


@pytest.fixture
def server(postman: Postman) -> Iterator[int]:
    """A mail server; its port."""
    number = free_port()
    with serving(postman, number):
        yield number


@pytest.fixture
def smtp_settings(orders_settings: Settings, server: int) -> Settings:
    """The configuration of orders, with a mail server."""
    return by_smtp(orders_settings, server)


@pytest.fixture
def worker(smtp_settings: Settings, channel: BlockingChannel) -> Iterator[None]:
    """A mail-worker that writes to the mail server."""
    with working(smtp_settings):
        yield


@pytest.fixture
def relay(orders_settings: Settings) -> Iterator[None]:
    """What delivers the outbox, as orders-relay does."""
    database, broker = orders_settings.database, orders_settings.broker
    topology = of_queue("mail_inbox", broker)
    with at_work(partial(relay_until, database, broker, topology)):
        yield


def letter(recipient: str = "ben@kawa.fr") -> OutgoingMail:
    """A mail."""
    rendered = render(OrderData(**order_data()), "created", "shop@kawa.fr", recipient, EPOCH)
    return OutgoingMail("name", *rendered, False)


def test_a_mail_goes_to_the_server_once_and_nowhere_else(
    worker: None,
    channel: BlockingChannel,
    postman: Postman,
    smtp_settings: Settings,
    orders_db: Database,
) -> None:
    uid = uuid4()
    publish(channel, "order.created", order_data(uid=uid))
    wait_for_states(orders_db, sent=1)
    [envelope] = postman.taken
    assert envelope.mail_from == "shop@kawa.fr"
    assert envelope.rcpt_tos == ["ben@kawa.fr"]
    message = postman.message(envelope)
    assert message["From"] == "Shop <shop@kawa.fr>"
    assert message["Message-ID"] == f"<{uid}.created@kawa.fr>"
    assert "Total: 25.00" in message.get_content()
    assert not smtp_settings.mail.mail_dir.exists()


def test_permanently_refused_mails_are_dead_lettered_with_the_reason_and_can_be_requeued(
    worker: None,
    relay: None,
    channel: BlockingChannel,
    postman: Postman,
    smtp_settings: Settings,
    orders_db: Database,
) -> None:
    dlq = DeadLetterQueue(smtp_settings.broker.for_queue(QUEUE))
    postman.answers["gone@kawa.fr"] = ["550 No such user here"]
    postman.on_data["full@kawa.fr"] = "552 Mailbox full"
    for address in ("gone@kawa.fr", "full@kawa.fr", "ben@kawa.fr"):
        publish(channel, "order.created", order_data(email=address, order_id=address))
    wait_for_states(orders_db, refused=2, sent=1)
    eventually(lambda: len(dlq.messages()) == 2, "two dead letters")
    reasons = sorted(one.reason for one in dlq.messages())
    assert reasons[0] == "the mail server refuses the mail: 552 Mailbox full"
    assert reasons[1] == "the mail server refuses the recipient: 550 No such user here"
    assert dlq.requeue({one.id for one in dlq.messages()}) == 2
    wait_for_states(orders_db, sent=3)
    assert Counter(postman.recipients()) == Counter(["gone@kawa.fr", "full@kawa.fr", "ben@kawa.fr"])


def test_a_repeated_event_does_not_try_again_what_was_refused(
    worker: None, channel: BlockingChannel, postman: Postman, orders_db: Database
) -> None:
    postman.answers["gone@kawa.fr"] = ["550 No such user here"]
    data = order_data(email="gone@kawa.fr")
    publish(channel, "order.created", data)
    wait_for_states(orders_db, refused=1)
    publish(channel, "order.created", data)
    publish(channel, "order.created", order_data())
    wait_for_states(orders_db, refused=1, sent=1)


@pytest.mark.parametrize("answer", ["451 Try again later", "421 Too busy", "drop"])
def test_a_deferred_mail_is_tried_again_and_blocks_no_other(
    answer: str,
    worker: None,
    channel: BlockingChannel,
    postman: Postman,
    orders_db: Database,
) -> None:
    postman.answers["slow@kawa.fr"] = refusals = [answer] * 1000
    publish(channel, "order.created", order_data(email="slow@kawa.fr"))
    for _ in range(10):
        publish(channel, "order.created", order_data())
    wait_for_states(orders_db, sent=10, waiting=1)
    eventually(lambda: len(refusals) <= 997, "three attempts")
    del postman.answers["slow@kawa.fr"]
    wait_for_states(orders_db, sent=11)
    assert postman.recipients().count("slow@kawa.fr") == 1
    assert rows(orders_db)[0].attempts == 1000 - len(refusals) + 1


def test_a_server_that_is_slow_with_one_mail_delays_no_other(
    worker: None, channel: BlockingChannel, postman: Postman, orders_db: Database
) -> None:
    postman.delayed["slow@kawa.fr"] = threading.Event()
    publish(channel, "order.created", order_data(email="slow@kawa.fr"))
    for _ in range(10):
        publish(channel, "order.created", order_data())
    wait_for_states(orders_db, sent=10, waiting=1)
    postman.delayed["slow@kawa.fr"].set()
    wait_for_states(orders_db, sent=11)
    assert postman.recipients().count("slow@kawa.fr") == 1


def test_mails_wait_for_an_unavailable_server(
    orders_settings: Settings, channel: BlockingChannel, postman: Postman, orders_db: Database
) -> None:
    number = free_port()
    with working(by_smtp(orders_settings, number)):
        for _ in range(5):
            publish(channel, "order.created", order_data())
        eventually(lambda: len(rows(orders_db)) == 5, "all noted")
        eventually(lambda: all(row.error for row in rows(orders_db)), "an attempt for each")
        with serving(postman, number):
            wait_for_states(orders_db, sent=5)
    assert len(postman.taken) == 5


def test_a_connection_lost_before_the_reply_leads_to_the_same_mail_again_with_the_same_id(
    worker: None, channel: BlockingChannel, postman: Postman, orders_db: Database
) -> None:
    postman.on_data["ben@kawa.fr"] = "drop"
    publish(channel, "order.created", order_data())
    wait_for_states(orders_db, sent=1)
    assert len(postman.taken) == 2
    assert len(set(postman.ids())) == 1


def test_the_mails_of_one_order_keep_their_order(
    worker: None, channel: BlockingChannel, postman: Postman, orders_db: Database
) -> None:
    postman.answers["ben@kawa.fr"] = ["451 Try again later"]
    uid = uuid4()
    for step in ("created", "completed"):
        publish(channel, f"order.{step}", order_data(uid=uid))
    wait_for_states(orders_db, sent=2)
    assert postman.ids() == [f"<{uid}.{step}@kawa.fr>" for step in ("created", "completed")]


def test_killed_between_sending_and_marking_a_worker_repeats_one_mail_at_most(
    smtp_settings: Settings,
    channel: BlockingChannel,
    postman: Postman,
    orders_db: Database,
    tmp_path: Path,
) -> None:
    mail = smtp_settings.mail
    variables = {
        "SMTP_HOST": mail.smtp_host,
        "SMTP_PORT": str(mail.smtp_port),
        "MAIL_FROM": "shop@kawa.fr",
    }
    first, second = (
        worker_process(replace(smtp_settings, mail_port=port()), tmp_path, **variables)
        for _ in range(2)
    )
    # the server has taken the mail, and nobody is left to hear of it
    postman.once_taken["ben@kawa.fr"] = first.kill
    first.start()
    publish(channel, "order.created", order_data())
    eventually(lambda: len(postman.taken) == 1, "the first mail")
    second.start()
    publish(channel, "order.created", order_data(email="ada@kawa.fr"))
    wait_for_states(orders_db, sent=1, waiting=1)
    assert postman.recipients() == ["ben@kawa.fr", "ada@kawa.fr"]
    late = "UPDATE mails SET next_attempt_at = next_attempt_at - interval '1 minute'"
    for is_doubted in (True, False):
        with orders_db.autocommit() as connection:
            connection.execute(text(late))
        if is_doubted:
            eventually(lambda: any(row.doubted for row in rows(orders_db)), "doubt")
    wait_for_states(orders_db, sent=2)
    second.end()
    assert postman.recipients() == ["ben@kawa.fr", "ada@kawa.fr", "ben@kawa.fr"]
    assert postman.ids()[0] == postman.ids()[2]


def test_a_claim_is_renewed_while_the_server_takes_its_time(
    smtp_settings: Settings,
    channel: BlockingChannel,
    postman: Postman,
    orders_db: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orders.mail.worker._RENEW_SECONDS", 0.1)
    postman.delayed["ben@kawa.fr"] = threading.Event()
    with working(smtp_settings):
        publish(channel, "order.created", order_data())
        eventually(lambda: any(row.claim for row in rows(orders_db)), "a claim")
        [before] = rows(orders_db)
        eventually(lambda: rows(orders_db)[0].next_attempt_at > before.next_attempt_at, "renewal")
        postman.delayed["ben@kawa.fr"].set()
        wait_for_states(orders_db, sent=1)
    assert len(postman.taken) == 1


def test_a_deferred_mail_is_given_up_after_five_days(
    worker: None, channel: BlockingChannel, postman: Postman, orders_db: Database
) -> None:
    postman.answers["slow@kawa.fr"] = ["451 Try again later"] * 1000
    publish(channel, "order.created", order_data(email="slow@kawa.fr"))
    eventually(lambda: any(row.error for row in rows(orders_db)), "an attempt")
    with orders_db.autocommit() as connection:
        connection.execute(text("UPDATE mails SET recorded_at = now() - interval '121 hours'"))
    wait_for_states(orders_db, refused=1)
    assert rows(orders_db)[0].error.startswith("given up after 5 days: ")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, signed by itself, with its key."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run([*make.split(), *names, *files], check=True, capture_output=True)
    return path


def context(certificate: Path) -> ssl.SSLContext:
    """The server's side of TLS."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return made


def authenticated(*arguments: Any) -> AuthResult:
    """Whether a client has logged in as it should."""
    login = arguments[-1]
    assert isinstance(login, LoginPassword)
    right = login == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


def logged_in(settings: Settings, number: int, tls: str, password: str = PASSWORD) -> MailSettings:
    """The settings of a mail server that asks who is there."""
    return by_smtp(
        settings,
        number,
        smtp_tls=tls,
        smtp_user=USER,
        smtp_password=SecretStr(password),
    ).mail


# of the TLS that is there from the first byte, aiosmtpd's session knows nothing
@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_server_may_ask_for_tls_and_a_password(
    tls: str,
    orders_settings: Settings,
    postman: Postman,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    options: dict[str, Any] = {"authenticator": authenticated, "auth_required": True}
    if tls == "tls":
        options |= {"ssl_context": context(certificate), "auth_require_tls": False}
    else:
        options |= {"tls_context": context(certificate), "require_starttls": True}
    with serving(postman, number := free_port(), **options):
        smtp = mail_smtp.Smtp(logged_in(orders_settings, number, tls))
        smtp.deliver(letter())
        wrong = mail_smtp.Smtp(logged_in(orders_settings, number, tls, "wrong"))
        with pytest.raises(DeferredError, match="535"):
            wrong.deliver(letter())
    assert postman.recipients() == ["ben@kawa.fr"]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_server_with_an_untrusted_certificate_gets_neither_password_nor_mail(
    tls: str, orders_settings: Settings, postman: Postman, certificate: Path
) -> None:
    wrapped = {"ssl_context" if tls == "tls" else "tls_context": context(certificate)}
    with serving(postman, number := free_port(), **wrapped):
        smtp = mail_smtp.Smtp(logged_in(orders_settings, number, tls))
        with pytest.raises(DeferredError, match="CERTIFICATE_VERIFY_FAILED"):
            smtp.deliver(letter())
    assert postman.taken == []


def test_a_server_without_starttls_gets_no_mail_when_that_is_asked_for(
    orders_settings: Settings, postman: Postman, server: int
) -> None:
    settings = by_smtp(orders_settings, server, smtp_tls="starttls").mail
    with pytest.raises(DeferredError, match="STARTTLS"):
        mail_smtp.Smtp(settings).deliver(letter())


def test_an_address_beyond_ascii_goes_to_a_server_that_takes_it_and_is_refused_by_another(
    orders_settings: Settings, postman: Postman
) -> None:
    for knows in (True, False):
        with serving(postman, number := free_port(), enable_SMTPUTF8=knows):
            smtp = mail_smtp.Smtp(by_smtp(orders_settings, number).mail)
            if knows:
                smtp.deliver(letter("jürgen@straße.de"))
            else:
                with pytest.raises(RefusedError, match="RFC 6531"):
                    smtp.deliver(letter("jürgen@straße.de"))
    assert postman.recipients() == ["jürgen@xn--strae-oqa.de"]


def test_a_refused_sender_does_not_count_against_the_mail(
    orders_settings: Settings, postman: Postman
) -> None:
    async def refuse(*_arguments: object) -> str:
        return "550 Who are you?"

    postman.handle_MAIL = refuse  # type: ignore[attr-defined]
    with serving(postman, number := free_port()):
        smtp = mail_smtp.Smtp(by_smtp(orders_settings, number).mail)
        with pytest.raises(DeferredError, match="550"):
            smtp.deliver(letter())


def test_a_server_that_never_answers_is_given_up_in_time(
    orders_settings: Settings, postman: Postman
) -> None:
    held = postman.delayed["ben@kawa.fr"] = threading.Event()
    with serving(postman, number := free_port()):
        smtp = mail_smtp.Smtp(by_smtp(orders_settings, number).mail, reply_seconds=0.5)
        with pytest.raises(DeferredError):
            smtp.deliver(letter())
        held.set()


@contextmanager
def dribbling(beginning: bytes, seconds: float = 0.05) -> Iterator[int]:
    """A server that greets byte by byte and never ends; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(beginning)
                while not select.select([connection], [], [], seconds)[0]:
                    connection.sendall(b"x")
                while connection.recv(4096):
                    connection.sendall(b"x")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(SECONDS)


@pytest.mark.parametrize(
    ("tls", "beginning"), [("none", b"220 "), ("tls", b"\x16\x03\x03\x40\x00")]
)
def test_a_server_that_dribbles_within_a_reply_is_cut_off(
    orders_settings: Settings, tls: str, beginning: bytes
) -> None:
    with dribbling(beginning) as number:
        mail = by_smtp(orders_settings, number).mail.model_copy(update={"smtp_tls": tls})
        smtp = mail_smtp.Smtp(mail, delivery_seconds=1.0)
        with pytest.raises(DeferredError, match="the mail server took more than 1 s"):
            smtp.deliver(letter())


def test_the_commands_list_and_show_what_the_table_says_when_there_is_a_mail_server(
    worker: None,
    channel: BlockingChannel,
    postman: Postman,
    smtp_settings: Settings,
    orders_db: Database,
    tmp_path: Path,
) -> None:
    postman.answers["gone@kawa.fr"] = ["550 No such user here"]
    uid = uuid4()
    publish(channel, "order.created", order_data(uid=uid))
    publish(channel, "order.created", order_data(email="gone@kawa.fr"))
    wait_for_states(orders_db, sent=1, refused=1)
    listed = run_command(smtp_settings, tmp_path, "mail", "list", SMTP_HOST="127.0.0.1")
    assert sorted(line.split()[2] for line in listed.splitlines()[:-1]) == ["refused", "sent"]
    arguments = ("mail", "show", f"{uid}.created")
    shown = run_command(smtp_settings, tmp_path, *arguments, SMTP_HOST="127.0.0.1")
    # it is not kept
    assert "To: -\n" in shown
    assert "Total: 25.00\n" in shown


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SMTP_PORT": "0"}, "SMTP_PORT"),
        ({"SMTP_PORT": "smtp"}, "SMTP_PORT"),
        ({"SMTP_TLS": "maybe"}, "SMTP_TLS"),
        ({"MAIL_FROM": "nobody"}, "MAIL_FROM"),
        ({"MAIL_FROM": "a@b, c@d"}, "MAIL_FROM"),
        ({"SMTP_USER": "me"}, "SMTP_USER and SMTP_PASSWORD"),
        ({"SMTP_PASSWORD": "x"}, "SMTP_USER and SMTP_PASSWORD"),
        ({"SMTP_USER": "me", "SMTP_PASSWORD": "x"}, "SMTP_TLS"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        mail_settings.load()


def test_variables_that_are_empty_mean_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "TLS", "USER", "PASSWORD"):
        monkeypatch.setenv(f"SMTP_{name}", "")
    monkeypatch.setenv("MAIL_FROM", "")
    monkeypatch.setenv("MAIL_DIR", "")
    monkeypatch.setenv("STATE_DIR", "/var/lib/somewhere")
    settings = mail_settings.load()
    assert (settings.smtp_host, settings.port, settings.mail_from) == ("", 25, "orders@localhost")
    assert settings.mail_dir == Path("/var/lib/somewhere/mail")
    monkeypatch.setenv("SMTP_TLS", "starttls")
    assert mail_settings.load().port == 587


def test_a_sender_that_may_have_lost_its_mail_to_another_does_not_begin_to_send_it(
    smtp_settings: Settings, postman: Postman
) -> None:
    way = mail_smtp.Smtp(smtp_settings.mail)
    with pytest.raises(DeferredError, match="the claim is stale"):
        way.deliver(letter()._replace(is_held=lambda: False))
    assert postman.taken == []
    way.deliver(letter())
    assert postman.recipients() == ["ben@kawa.fr"]
