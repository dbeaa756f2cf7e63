"""AMQP's short strings: should be UTF-8, and need not be; Python's text holds either.

Source: AMQP 0-9-1, section 4.2.5.3.
"""


def as_text(text: str | bytes) -> str:
    """Return a short string as text, also one that is no UTF-8; `as_sent` undoes it."""
    return text if isinstance(text, str) else text.decode(errors="surrogateescape")


def as_sent(text: str) -> str | bytes:
    """Return the short string of which `as_text` has made a text."""
    return text if text.isascii() else text.encode(errors="surrogateescape")


def is_text(text: str) -> bool:
    """Tell whether a short string is what PostgreSQL takes for text: UTF-8 without NUL."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
