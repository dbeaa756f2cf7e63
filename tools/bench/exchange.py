"""An HTTP/1.1 connection that sends one request after another, and hands on each status."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools


@dataclass(frozen=True)
class Exchange:
    """A request and what is called with the status of its answer, or with 0 if it has none.

    Attributes:
        kind: which its answer is grouped by.
        data: its bytes.
        due: when it should be sent, on the loop's clock.
        answered: is called once.
    """

    kind: str
    data: bytes
    due: float
    answered: Callable[["Exchange", int], None]

    def fail(self) -> None:
        """End without an answer."""
        self.answered(self, 0)


class Connection(asyncio.Protocol):
    """A connection; `free` is called when it can take a request, `closed` after its end."""

    def __init__(
        self, free: Callable[["Connection"], None], closed: Callable[["Connection"], None]
    ) -> None:
        self._free = free
        self._closed = closed
        self._exchange: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._free(self)

    def send(self, exchange: Exchange) -> None:
        """Send a request; only while the connection is free."""
        self._exchange = exchange
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(exchange.data)

    def close(self) -> None:
        """Close it at once, whatever is in flight."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read a piece of an answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_complete(self) -> None:
        """Called by the parser at the end of an answer."""
        status, keeps = self._parser.get_status_code(), self._parser.should_keep_alive()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.answered(exchange, status)
        if keeps:
            # not from within the parser, which the next request replaces
            asyncio.get_running_loop().call_soon(self._next)
        else:
            self._transport.close()

    def _next(self) -> None:
        if not self._transport.is_closing():
            self._free(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Fail the request in flight, if any."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.fail()
        self._closed(self)
