"""`mail list` and `mail show`: the mails to customers.

Without a mail server they are read from the Maildir. With one they are read from the table, which
also has the waiting and the refused ones.
"""

import mailbox
from collections.abc import Iterator
from email import message_from_binary_file
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import click
from sqlalchemy import select

from chassis.cli import Group, echo, say_nothing_found
from chassis.errors import first_line
from chassis.printable import escaped_line
from chassis.storage.database import Database
from orders.mail.claims import read_order
from orders.mail.message import compose, mail_name, set_text
from orders.mail.settings import MailSettings
from orders.mail.table import mails
from orders.settings import Settings


class WrittenMail(NamedTuple):
    """A mail and its state."""

    id: str
    state: str
    to: str
    message: EmailMessage

    @property
    def time(self) -> str:
        """When it was written, in RFC 3339."""
        return parsedate_to_datetime(str(self.message["Date"])).isoformat()

    def __str__(self) -> str:
        """Return its line in the list."""
        subject, order = (str(self.message[name]) for name in ("Subject", "X-Order-ID"))
        return "  ".join((self.id, self.time, self.state, self.to, subject, order))


def _read(settings: Settings) -> Iterator[WrittenMail]:
    if settings.mail.smtp_host:
        yield from _in_table(settings)
    else:
        yield from _in_maildir(settings.mail.mail_dir)


def _in_maildir(path: Path) -> Iterator[WrittenMail]:
    if not path.exists():
        return
    try:
        box: mailbox.Maildir = mailbox.Maildir(path, _parsed, create=False)
        for key, message in box.iteritems():
            # our own mails have an order; others put there are not ours
            if message["X-Order-ID"] and message["Date"]:
                yield WrittenMail(key, "filed", str(message["To"]), cast(EmailMessage, message))
    except (OSError, mailbox.Error) as error:
        raise click.ClickException(f"the Maildir can't be read: {error}") from None


def _parsed(file: Any) -> Any:
    return message_from_binary_file(file, policy=default)


def _in_table(settings: Settings) -> Iterator[WrittenMail]:
    database = Database(settings.database, connections=1)
    with database.autocommit() as connection:
        for row in connection.execute(select(mails).order_by(mails.c.id)):
            # the address of a sent mail, or of a deleted customer, is not kept
            to = row.recipient or "-"
            name = mail_name(row.order_uid, row.step)
            yield WrittenMail(name, row.state, to, _message(row, settings.mail))
    database.close()


def _message(row: Any, settings: MailSettings) -> EmailMessage:
    try:
        order = read_order(bytes(row.data))
        return compose(order, row.step, settings.mail_from, "nobody@localhost", row.recorded_at)
    except Exception as error:
        # any error is the mail's own; the others can be listed
        return _unreadable(row, error)


def _unreadable(row: Any, error: Exception) -> EmailMessage:
    """Return a stand-in for a mail that can't be written, with the data of its row."""
    message = EmailMessage(policy=default)
    message["Date"] = row.recorded_at
    message["Subject"] = "(the mail can't be written)"
    set_text(message, "X-Order-ID", escaped_line(row.order_id))
    message.set_content(f"{first_line(error)}\n")
    return message


@click.group(cls=Group)
def mail() -> None:
    """List or show mails to customers: from the Maildir, or the table if SMTP_HOST is set."""


@mail.command("list")
def list_() -> None:
    """List the mails, one per line: id, time, state, recipient, subject, order."""
    from orders.settings import load

    # an order's confirmation comes first, even if the next mail is of the same second
    def place(written: WrittenMail) -> tuple[str, bool, str]:
        return written.time, not written.id.endswith(".created"), written.id

    found = sorted(_read(load()), key=place)
    if not found:
        say_nothing_found("no mail was written yet")
    for written in found:
        echo(escaped_line(str(written)))


@mail.command(example="{} 9e2ed4a3-e556-4550-b645-f2cc62361f7e.created")
@click.argument("mail_id")
def show(mail_id: str) -> None:
    """Show one mail: its main headers and its text."""
    from orders.settings import load

    found = [written for written in _read(load()) if written.id == mail_id]
    if not found:
        raise click.ClickException(f"no mail has the id {mail_id}")
    message = found[0].message
    for name in ("Date", "From", "To", "Subject", "Message-ID", "X-Order-ID"):
        text = found[0].to if name == "To" else str(message[name] or "-")
        echo(escaped_line(f"{name}: {text}"))
    echo(f"\n{message.get_content()}", nl=False)
