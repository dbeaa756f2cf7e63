"""A real mail server that accepts, refuses, delays and drops mails as a test says."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from orders.mail.settings import MailSettings
from orders.settings import Settings


class Postman:
    """The mail server's reaction to each mail; a test may set another one by recipient."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.answers: dict[str, list[str]] = {}
        self.on_data: dict[str, str] = {}
        self.delayed: dict[str, threading.Event] = {}
        self.once_taken: dict[str, Callable[[], None]] = {}

    def ids(self) -> list[str]:
        """The Message-IDs of accepted mails."""
        return [str(self.message(envelope)["Message-ID"]) for envelope in self.taken]

    def recipients(self) -> list[str]:
        """The recipients of accepted mails."""
        return [address for envelope in self.taken for address in envelope.rcpt_tos]

    def message(self, envelope: Envelope) -> Any:
        """A parsed mail."""
        assert isinstance(envelope.content, bytes)
        return message_from_bytes(envelope.content, policy=default)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answers = self.answers.get(address, [])
        if answers:
            answer = answers.pop(0)
            if answer == "drop":
                assert server.transport is not None
                server.transport.close()
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        [address] = envelope.rcpt_tos
        delay = self.delayed.get(address)
        while delay is not None and not delay.is_set():
            await asyncio.sleep(0.02)
        answer = self.on_data.pop(address, "250 OK")
        if answer.startswith("2") or answer == "drop":
            self.taken.append(envelope)
            self.once_taken.pop(address, lambda: None)()
        if answer == "drop":
            assert server.transport is not None
            server.transport.close()
        return answer


@contextmanager
def serving(postman: Postman, on_port: int, **options: Any) -> Iterator[Controller]:
    """Run a mail server."""
    controller = Controller(postman, "127.0.0.1", on_port, ready_timeout=20, **options)
    controller.start()
    try:
        yield controller
    finally:
        controller.stop()


def by_smtp(settings: Settings, number: int, **changed: Any) -> Settings:
    """The settings, with a mail server."""
    mail = MailSettings(
        smtp_host="localhost" if changed else "127.0.0.1",
        smtp_port=number,
        mail_from="Shop <shop@kawa.fr>",
        mail_dir=settings.mail.mail_dir,
        **changed,
    )
    return replace(settings, mail=mail)
