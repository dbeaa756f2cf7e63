"""The content of the mails: one plain text for each step of an order (RFC 5322)."""

import re
from datetime import datetime, timezone
from decimal import Decimal
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.quoprimime import body_encode
from email.utils import format_datetime, parseaddr
from functools import cache
from typing import NamedTuple
from uuid import UUID

import idna
from pydantic import ConfigDict

from chassis.messaging.event_handler import EventData
from chassis.schema.fields import Money
from orders.allowed_transitions import Step

_ADDRESS = re.compile(r"([^@\s<>()\[\],;:\"\x00-\x1f\x7f]+)@([^@\s<>()\[\],;:\"\x00-\x1f\x7f]+)")


class _Text(NamedTuple):
    subject: str
    opening: str
    closing: str


_TEXTS: dict[Step, _Text] = {
    "created": _Text(
        "Order {}: thank you, we have it",
        "thank you for your order {}.",
        "We write again as soon as there is news.",
    ),
    "completed": _Text(
        "Order {}: it is complete",
        "your order {} is complete.",
        "Thank you for ordering with us.",
    ),
    "cancelled": _Text(
        "Order {}: it has been cancelled",
        "your order {} has been cancelled.",
        "Nothing will be charged for it.",
    ),
}


class Line(EventData):
    """A quantity of a product; fields that are not read are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    quantity: int
    unit_price: Money


class OrderData(EventData):
    """What is read of an order's events; other fields are kept for a dead letter."""

    model_config = ConfigDict(extra="allow", frozen=True)

    uid: UUID
    order_id: str
    customer_id: str
    email: str | None = None
    total: Money
    lines: tuple[Line, ...] = ()
    reason: str | None = None

    @property
    def aggregate(self) -> UUID:
        """The order."""
        return self.uid


_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
# a dot-atom and a host name (RFC 5322, section 3.2.3; RFC 1123, section 2.1)
_PLAIN_ADDRESS = re.compile(
    r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII
)
_LINE_LENGTH = 78  # RFC 5322, section 2.1.1
_LONGEST_PLAIN = 36
_NOBODY = OrderData(uid=UUID(int=0), order_id="0", customer_id="0", total=Decimal(0))
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def mail_name(uid: UUID, step: str) -> str:
    """Return the name of a mail, one for each order and step."""
    return f"{uid}.{step}"


def compose(
    order: OrderData, step: Step, sender: str, recipient: str, time: datetime
) -> EmailMessage:
    """Write the mail for a step of an order; the same arguments make the same mail.

    Args:
        order: the order at this step.
        step: what has happened.
        sender: the From header, with or without a name.
        recipient: the address only.
        time: when the mail was recorded.

    Raises:
        ValueError: `recipient` is no address that mail can be sent to.
    """
    address = sendable(recipient)
    message = EmailMessage(policy=SMTP.clone(utf8=not address.isascii()))
    message["From"] = sender
    message["To"] = address
    if [found.addr_spec for found in message["To"].addresses] != [address]:
        raise ValueError("the address of the recipient can't be written into a header")
    set_text(message, "Subject", _TEXTS[step].subject.format(_one_line(order.order_id)))
    message["Date"] = format_datetime(time)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message["Message-ID"] = f"<{mail_name(order.uid, step)}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    set_text(message, "X-Order-ID", _one_line(order.order_id))
    # a server need not accept 8-bit lines, or lines of more than 998 characters
    message.set_content(_text(order, step), cte="quoted-printable")
    return message


class Rendered(NamedTuple):
    """A mail as bytes, its lines ending with CRLF, and the address that it goes to."""

    recipient: str
    content: bytes


def render(order: OrderData, step: Step, sender: str, recipient: str, time: datetime) -> Rendered:
    """Return the bytes of the mail that `compose` writes, for the same arguments.

    Most mails have plain headers, which need neither encoding nor folding: those come from a
    template, since the email package takes a hundred times as long.

    Raises:
        ValueError: as `compose`.
    """
    order_id = _one_line(order.order_id)
    if not (_is_plain(order_id, _PLAIN_ID) and _is_plain(recipient, _PLAIN_ADDRESS)):
        message = compose(order, step, sender, recipient, time)
        return Rendered(message["To"].addresses[0].addr_spec, message.as_bytes())
    template = _template(step, sender)
    head = [
        template.sender,
        f"To: {recipient}",
        f"Subject: {_TEXTS[step].subject.format(order_id)}",
        f"Date: {format_datetime(time)}",
        template.message_id.replace(str(_NOBODY.uid), str(order.uid)),
        template.automatic,
        f"X-Order-ID: {order_id}",
        *template.content,
    ]
    body = body_encode(_text(order, step).encode().decode("latin-1"), _LINE_LENGTH)
    text = "\r\n".join(head) + "\r\n\r\n" + body.replace("\n", "\r\n")
    return Rendered(recipient, text.encode("ascii"))


def _is_plain(text: str, pattern: re.Pattern[str]) -> bool:
    """Return whether `text` is written as it is, on one line."""
    return len(text) <= _LONGEST_PLAIN and pattern.fullmatch(text) is not None


class _Template(NamedTuple):
    """The headers that do not depend on the order but for its uid, in their order."""

    sender: str
    message_id: str
    automatic: str
    content: tuple[str, ...]


@cache
def _template(step: Step, sender: str) -> _Template:
    raw = compose(_NOBODY, step, sender, "nobody@localhost", _EPOCH).as_bytes().decode("ascii")
    # a line that begins with a blank continues the one before
    headers = re.split(r"\r\n(?![ \t])", raw.partition("\r\n\r\n")[0])
    first, _to, _subject, _date, message_id, automatic, _order_id, *content = headers
    return _Template(first, message_id, automatic, tuple(content))


def set_text(message: EmailMessage, name: str, text: str) -> None:
    """Set a header to `text` as it is, even if it looks like an encoded word (RFC 2047).

    The email package would decode such a text, and write what it encodes: control characters.
    """
    if "=?" in text:
        message.set_raw(name, Header(text, "utf-8", header_name=name).encode(linesep="\r\n"))
    else:
        message[name] = text


def sendable(address: str) -> str:
    """Return an address with its domain in ASCII (RFC 5891), which every mail server accepts.

    Raises:
        ValueError: it is no address; quoted parts and lists are not accepted.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError("the address of the recipient is none")
    local, domain = match.groups()
    if "=?" in local:
        # mail programs decode it, to another mailbox
        raise ValueError("the address of the recipient looks like an encoded word (RFC 2047)")
    return f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode()}"


def _text(order: OrderData, step: Step) -> str:
    parts = ["Hello,", _TEXTS[step].opening.format(_one_line(order.order_id))]
    if step == "cancelled" and order.reason:
        parts.append(f"Reason: {_one_line(order.reason)}")
    if order.lines:
        parts.append("\n".join(_line(line) for line in order.lines))
    parts += [f"Total: {_amount(order.total)}", _TEXTS[step].closing]
    return "\n\n".join(parts) + "\n"


def _line(line: Line) -> str:
    amount = _amount(line.quantity * line.unit_price)
    return f"{line.quantity:>4} x {_one_line(line.name)}, {_amount(line.unit_price)} each: {amount}"


def _amount(value: Decimal) -> str:
    return f"{value:,.2f}"


def _one_line(text: str) -> str:
    """Return `text` without line breaks and unprintable characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
