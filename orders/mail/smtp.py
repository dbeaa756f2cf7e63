"""Delivery by a mail server (RFC 5321): 4xx replies defer a mail, 5xx replies refuse it for good.

Only a reply about the recipient or the text refuses a mail. A server that rejects the login or the
sender is not configured yet: the mails wait until it is.
"""

import smtplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import timedelta
from email.utils import parseaddr
from typing import Any, Literal

from orders.mail.settings import MailSettings
from orders.mail.transport import DeferredError, OutgoingMail, RefusedError

_REPLY_SECONDS = 30.0  # for each reply; a server may scan a text for a while
_DELIVERY_SECONDS = 120.0  # for all replies of a mail together
_QUIT_SECONDS = 2.0


class Smtp:
    """Delivers by a mail server, over a connection for each mail."""

    name = "smtp"
    is_local: Literal[False] = False
    lease = timedelta(seconds=60)

    def __init__(
        self,
        settings: MailSettings,
        reply_seconds: float = _REPLY_SECONDS,
        delivery_seconds: float = _DELIVERY_SECONDS,
    ) -> None:
        self._settings = settings
        self._sender = parseaddr(settings.mail_from)[1]
        self._reply_seconds = reply_seconds
        self._delivery_seconds = delivery_seconds
        encrypted = settings.smtp_tls != "none"
        self._tls = ssl.create_default_context() if encrypted else None

    def deliver(self, mail: OutgoingMail) -> None:
        """Send a mail to the server.

        Raises:
            DeferredError: the server is unavailable, busy, or not configured for us.
            RefusedError: it refuses the recipient or the text for good.
        """
        started = time.monotonic()
        try:
            server = self._connected()
            try:
                _check_address(server, mail.recipient)
                # the greeting may have taken longer than the claim is valid
                if not mail.is_held():
                    raise DeferredError("the database is unavailable, and the claim is stale")
                self._send(server, mail)
            finally:
                # the replies so far decide, whatever the reply to QUIT
                _quit(server)
        except smtplib.SMTPRecipientsRefused as error:
            raise _delivery_error("the recipient", *error.recipients[mail.recipient]) from error
        except smtplib.SMTPDataError as error:
            raise _delivery_error("the mail", error.smtp_code, error.smtp_error) from error
        except (smtplib.SMTPException, OSError) as error:
            limit = self._delivery_seconds
            if time.monotonic() - started >= limit:
                raise DeferredError(f"the mail server took more than {limit:g} s") from error
            raise DeferredError(f"the mail server fails: {error}") from error

    def _send(self, server: smtplib.SMTP, mail: OutgoingMail) -> None:
        is_ascii = f"{self._sender}{mail.recipient}".isascii()
        options = () if is_ascii else ("SMTPUTF8", "BODY=8BITMIME")
        server.sendmail(self._sender, [mail.recipient], mail.content, options)

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        # the plain host name; smtplib would ask the DNS for a longer one
        options: dict[str, Any] = {
            "local_hostname": socket.gethostname(),
            "timeout": self._reply_seconds,
            "seconds": self._delivery_seconds,
        }
        place = (settings.smtp_host, settings.port)
        if settings.smtp_tls == "tls":
            server: smtplib.SMTP = _TimedSmtpTls(*place, context=self._tls, **options)
        else:
            server = _TimedSmtp(*place, **options)
        try:
            self._introduce(server)
        except BaseException:
            server.close()
            raise
        return server

    def _introduce(self, server: smtplib.SMTP) -> None:
        settings = self._settings
        if settings.smtp_tls == "starttls":
            server.starttls(context=self._tls)
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())


class _Timed(smtplib.SMTP):
    """A connection that is shut down `seconds` after it was opened."""

    seconds: float
    _handle: socket.socket | None = None

    def connect(self, *arguments: Any, **options: Any) -> tuple[int, bytes]:
        """Connect; close everything if that fails."""
        try:
            return super().connect(*arguments, **options)
        except BaseException:
            self.close()
            raise

    def _get_socket(self, *arguments: Any) -> socket.socket:
        made: socket.socket = super()._get_socket(*arguments)  # type: ignore[misc]
        # a handle of its own, since TLS takes over the socket
        self._handle = made.dup()
        self._timer = threading.Timer(self.seconds, _shut_down, [self._handle])
        self._timer.daemon = True
        self._timer.start()
        return made

    def close(self) -> None:
        """Close the connection, and cancel the shutdown."""
        super().close()
        if self._handle is not None:
            self._timer.cancel()
            self._handle.close()


class _TimedSmtp(_Timed):
    """A connection that starts without TLS."""

    def __init__(self, *arguments: Any, seconds: float, **options: Any) -> None:
        self.seconds = seconds
        super().__init__(*arguments, **options)


class _TimedSmtpTls(smtplib.SMTP_SSL, _Timed):
    """A connection with TLS, whose handshake counts as well."""

    def __init__(self, *arguments: Any, seconds: float, **options: Any) -> None:
        self.seconds = seconds
        super().__init__(*arguments, **options)


def _shut_down(connection: socket.socket) -> None:
    # it may have been closed meanwhile
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _check_address(server: smtplib.SMTP, address: str) -> None:
    server.ehlo_or_helo_if_needed()
    if not address.isascii() and not server.has_extn("smtputf8"):
        raise RefusedError("the mail server accepts ASCII addresses only (no SMTPUTF8, RFC 6531)")


def _quit(server: smtplib.SMTP) -> None:
    with suppress(smtplib.SMTPException, OSError):
        if server.sock is not None:
            server.sock.settimeout(_QUIT_SECONDS)
        server.quit()
    server.close()


def _delivery_error(what: str, code: int, reply: bytes | str) -> DeferredError | RefusedError:
    text = reply.decode(errors="backslashreplace") if isinstance(reply, bytes) else reply
    if 500 <= code <= 599:
        return RefusedError(f"the mail server refuses {what}: {code} {text}")
    return DeferredError(f"the mail server defers {what}: {code} {text}")
