"""Reads the answer of another service, however its bytes are cut into segments.

llhttp, the parser of Node.js, checks the grammar. It refuses what two parsers could understand
differently: two lengths, a length besides chunks, a folded field, a bare line end. Added here are
limits of size, and that only chunks or a length end a body: a truncated one would go unnoticed.
Source: RFC 9112, sections 4 to 7.
"""

from collections.abc import Sequence
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_FIELDS = 100
MAX_HEAD = 65_536
"""The most bytes of a head, and those between two pieces of a body (chunk extensions, trailers)."""
_NO_BODY = (204, 304)


class BrokenAnswerError(Exception):
    """What was received is no complete answer."""


class Fields:
    """The header fields of an answer: their names and values as they came, in their order."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Sequence[tuple[str, str]] = ()) -> None:
        self._fields = fields

    def items(self) -> Sequence[tuple[str, str]]:
        """Return names and values; a field that came twice is there twice."""
        return self._fields

    def get(self, name: str) -> str | None:
        """Return the value of a field, all values if it came more than once; None without one.

        Args:
            name: in small or in capital letters.
        """
        wanted = name.lower()
        values = [value for given, value in self._fields if given.lower() == wanted]
        return ", ".join(values) if values else None


class Answer(NamedTuple):
    """The answer of an upstream."""

    status: int
    headers: Fields
    data: bytes


class AnswerReader:
    """Reads one answer; interim answers (RFC 9110, section 15.2) before it are skipped.

    Attributes:
        is_complete: the answer has ended.
        is_begun: at least one byte has been received.
        leaves_usable: the connection may be used again, since the server says so, and nothing came
            after the answer's end.
    """

    def __init__(self, method: str) -> None:
        """Expect the answer to a request with this method."""
        self.is_complete = self.is_begun = self.leaves_usable = False
        self._to_head = method == "HEAD"
        self._status = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._in_body = self._has_length = self._is_chunked = False
        self._unframed = 0
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Read the next bytes; without any, the server has closed the connection.

        Raises:
            BrokenAnswerError: it is no HTTP, or has no end or not yet one, or is too large.
        """
        if not data:
            raise BrokenAnswerError("the answer ends early")
        self.is_begun = True
        self._unframed += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.leaves_usable = False
            if not self.is_complete:
                raise BrokenAnswerError(str(error.__context__ or error)) from error
        if self._unframed > MAX_HEAD and not self.is_complete:
            raise BrokenAnswerError(f"a head has more than {MAX_HEAD:,} bytes")

    def answer(self) -> Answer:
        """Return the complete answer."""
        fields = [
            (name.decode("latin-1"), value.strip(b" \t").decode("latin-1"))
            for name, value in self._fields
        ]
        return Answer(self._status, Fields(fields), b"".join(self._pieces))

    def close(self) -> None:
        """Release the parser, which refers to its reader: the two would wait for the collector."""
        del self._parser

    # called by the parser

    def on_message_begin(self) -> None:
        """Notice another answer behind the complete one."""
        if self.is_complete:
            self.leaves_usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field; those behind the body are left out (RFC 9110, section 6.5.1)."""
        if not self._in_body:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Decide whether the head announces a body, and where that ends."""
        self._check_fields()
        self._status = self._parser.get_status_code()
        if self._status < 200:
            self._check_interim()
            return
        if self._parser.get_http_version() not in ("1.1", "1.0"):
            raise BrokenAnswerError("it is not HTTP/1")
        self._unframed, self._in_body = 0, True
        if self._to_head:
            # a chunk behind the head would not be noticed
            self._end(not self._is_chunked)
        elif not (self._has_length or self._is_chunked or self._status in _NO_BODY):
            raise BrokenAnswerError("it has neither a length nor chunks")

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._unframed = 0
        if self.is_complete:
            self.leaves_usable = False
        else:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """End the answer, or skip an interim one."""
        if self._status < 200:
            self._fields.clear()
        elif not self.is_complete:
            self._end()

    def _check_fields(self) -> None:
        fields = self._fields
        # only then can they be too long
        is_long = self._unframed > MAX_HEAD
        if len(fields) > MAX_FIELDS or (is_long and sum(map(_size, fields)) > MAX_HEAD):
            raise BrokenAnswerError("its head has too many fields or bytes")
        for name, value in fields:
            if len(name) in (14, 17):
                self._note_framing(name.lower(), value)

    def _check_interim(self) -> None:
        if self._status < 100 or self._status == 101:
            raise BrokenAnswerError(f"its status is {self._status}")
        if self._has_length or self._is_chunked:
            # the parser would take the body from the next answer, if it does not know the status
            raise BrokenAnswerError("an interim answer has no body")

    def _note_framing(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self._has_length = True
        elif name == b"transfer-encoding":
            if self._is_chunked or value.strip(b" ").lower() != b"chunked":
                raise BrokenAnswerError("it has another transfer coding than chunked")
            self._is_chunked = True

    def _end(self, usable: bool = True) -> None:
        self.is_complete = True
        self.leaves_usable = usable and self._parser.should_keep_alive()


def _size(field: tuple[bytes, bytes]) -> int:
    name, value = field
    return len(name) + len(value)
