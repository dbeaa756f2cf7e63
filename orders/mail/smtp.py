"""A mail server (RFC 5321): what it takes is sent; 4xx means later, and 5xx never.

Never is only what it says about a recipient or a text. A server that does not know us, or the
sender, is not set up yet: that is put right, and the mails wait for it.
"""

import smtplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import timedelta
from email.utils import parseaddr
from typing import Any

from orders.mail.settings import MailSettings
from orders.mail.transport import DeferredError, Letter, RefusedError

_REPLY_SECONDS = 30.0  # for each reply; what a server does with a text may take it a while
_DELIVERY_SECONDS = 120.0  # for all of them together, however slowly each arrives
_GOODBYE_SECONDS = 2.0


class Smtp:
    """Delivers by a mail server, with a connection for each mail."""

    name = "smtp"
    is_local = False
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

    def deliver(self, letter: Letter) -> None:
        """Hand a mail over to the server.

        Raises:
            DeferredError: the server is away, not in the mood, or not set up for us.
            RefusedError: it refuses the recipient or the text for good.
        """
        started = time.monotonic()
        try:
            server = self._connected()
            try:
                _check_address(server, letter.recipient)
                # a server may have taken its time to greet
                if not letter.is_held():
                    raise DeferredError("the database is unavailable, and the claim has grown old")
                server.send_message(letter.message, self._sender, [letter.recipient])
            finally:
                # what was said before counts, whatever is said at the end
                _leave(server)
        except smtplib.SMTPRecipientsRefused as error:
            raise _answered("the recipient", *error.recipients[letter.recipient]) from error
        except smtplib.SMTPDataError as error:
            raise _answered("the mail", error.smtp_code, error.smtp_error) from error
        except (smtplib.SMTPException, OSError) as error:
            limit = self._delivery_seconds
            if time.monotonic() - started >= limit:
                raise DeferredError(f"the mail server took more than {limit:g} s") from error
            raise DeferredError(f"the mail server does not do it: {error}") from error

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        # our own name as it is; smtplib would ask the DNS for a longer one
        options: dict[str, Any] = {
            "local_hostname": socket.gethostname(),
            "timeout": self._reply_seconds,
            "seconds": self._delivery_seconds,
        }
        place = (settings.smtp_host, settings.port)
        if settings.smtp_tls == "tls":
            server: smtplib.SMTP = _LimitedTls(*place, context=self._tls, **options)
        else:
            server = _Limited(*place, **options)
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


class _CutOff(smtplib.SMTP):
    """A connection that ends `seconds` after its beginning, whatever is said on it."""

    seconds: float
    _handle: socket.socket | None = None

    def connect(self, *arguments: Any, **options: Any) -> tuple[int, bytes]:
        """Connect, and leave nothing behind if that fails."""
        try:
            return super().connect(*arguments, **options)
        except BaseException:
            self.close()
            raise

    def _get_socket(self, *arguments: Any) -> socket.socket:
        made: socket.socket = super()._get_socket(*arguments)  # type: ignore[misc]
        # its own handle, since TLS takes the socket over
        self._handle = made.dup()
        self._timer = threading.Timer(self.seconds, _cut, [self._handle])
        self._timer.daemon = True
        self._timer.start()
        return made

    def close(self) -> None:
        """Close it; nothing is left to cut off."""
        super().close()
        if self._handle is not None:
            self._timer.cancel()
            self._handle.close()


class _Limited(_CutOff):
    """One without TLS at its beginning."""

    def __init__(self, *arguments: Any, seconds: float, **options: Any) -> None:
        self.seconds = seconds
        super().__init__(*arguments, **options)


class _LimitedTls(smtplib.SMTP_SSL, _CutOff):
    """One with TLS, its handshake included."""

    def __init__(self, *arguments: Any, seconds: float, **options: Any) -> None:
        self.seconds = seconds
        super().__init__(*arguments, **options)


def _cut(connection: socket.socket) -> None:
    # one that has ended meanwhile has nothing to shut down
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _check_address(server: smtplib.SMTP, address: str) -> None:
    server.ehlo_or_helo_if_needed()
    if not address.isascii() and not server.has_extn("smtputf8"):
        raise RefusedError("the mail server takes no addresses beyond ASCII (RFC 6531)")


def _leave(server: smtplib.SMTP) -> None:
    with suppress(smtplib.SMTPException, OSError):
        if server.sock is not None:
            server.sock.settimeout(_GOODBYE_SECONDS)
        server.quit()
    server.close()


def _answered(what: str, code: int, reply: bytes | str) -> DeferredError | RefusedError:
    text = reply.decode(errors="backslashreplace") if isinstance(reply, bytes) else reply
    if 500 <= code <= 599:
        return RefusedError(f"the mail server refuses {what}: {code} {text}")
    return DeferredError(f"the mail server puts {what} off: {code} {text}")
