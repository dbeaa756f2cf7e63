"""AMQP's short strings as text: they should be UTF-8, but may be any bytes.

Source: AMQP 0-9-1, section 4.2.5.3.
"""

import re

_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


def as_text(text: str | bytes) -> str:
    """Return a short string as text, also if it is not UTF-8; `as_sent` reverses it."""
    return text if isinstance(text, str) else text.decode(errors="surrogateescape")


def as_sent(text: str) -> str | bytes:
    """Return the short string from which `as_text` made `text`."""
    return text if text.isascii() else text.encode(errors="surrogateescape")


def is_text(text: str) -> bool:
    """Return whether PostgreSQL can store a short string as text: UTF-8 without NUL."""
    return _NOT_TEXT.search(text) is None
