"""Exceptions that are independent of HTTP and of databases."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

MAX_ERRORS = 10
"""So many errors of one input are listed; further ones are only counted."""
_LONGEST_FIELD, _LONGEST_DETAIL = 200, 500  # characters
_T = TypeVar("_T")


def shortened(text: str, longest: int) -> str:
    """Return at most `longest` characters of `text`; an ellipsis marks a cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def first_line(error: Exception) -> str:
    """Return the first line of an exception's message; drivers add explanations below it."""
    return str(error).strip().partition("\n")[0]


class SettingsError(Exception):
    """A variable is missing or malformed."""


class FieldError(NamedTuple):
    """What is wrong with one field."""

    field: str
    detail: str


class NotFoundError(LookupError):
    """The requested resource does not exist."""


def found(thing: _T | None, what: str, value: object, key: str = "id") -> _T:
    """Return `thing`.

    Args:
        thing: what a query has returned, None if it has found nothing.
        what: the kind of thing, such as `order`.
        value: what it was looked for by.
        key: which property `value` is of.

    Raises:
        NotFoundError: `thing` is None.
    """
    if thing is None:
        shown = repr(value) if isinstance(value, str) else value
        raise NotFoundError(f"There is no {what} with the {key} {shown}.")
    return thing


class ConflictError(Exception):
    """The request contradicts the state of the resource."""


class PreconditionFailedError(Exception):
    """The resource does not fit the request's condition; nothing was done."""


class PreconditionRequiredError(Exception):
    """The request must have a condition on the state of the resource."""


class MalformedJsonError(ValueError):
    """The input is not JSON; the message continues a sentence that begins with "The body"."""


class InvalidError(ValueError):
    """The input is well formed, but wrong.

    Attributes:
        errors: the wrong fields, at most `MAX_ERRORS`, each text of limited length.
        left_out: how many more errors there are.
    """

    def __init__(self, errors: Sequence[FieldError], left_out: int = 0) -> None:
        self.errors = [_bounded(error) for error in errors[:MAX_ERRORS]]
        self.left_out = left_out + max(0, len(errors) - MAX_ERRORS)
        named = [_labelled(error) for error in self.errors]
        more = [f"and {self.left_out:,} more"] if self.left_out else []
        super().__init__("; ".join(named + more))


def _bounded(error: FieldError) -> FieldError:
    field = shortened(error.field, _LONGEST_FIELD)
    return FieldError(field, shortened(error.detail, _LONGEST_DETAIL))


def _labelled(error: FieldError) -> str:
    """An error of the whole input has no field."""
    return f"{error.field}: {error.detail}" if error.field else error.detail


class TooManyRequestsError(Exception):
    """The client has sent more than it may.

    Attributes:
        retry_after: seconds after which it may send again.
    """

    cause = "rate_limited"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class UnavailableError(Exception):
    """A required peer is unavailable; the caller should retry later.

    Attributes:
        retry_after: seconds after which a retry makes sense.
    """

    def __init__(self, detail: str, *, cause: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.cause = cause
        self.retry_after = retry_after


class BrokerUnavailableError(UnavailableError):
    """RabbitMQ has not confirmed a message."""

    def __init__(self, detail: str, cause: str = "broker_unavailable") -> None:
        super().__init__(detail, cause=cause)


class ConnectionLostError(BrokerUnavailableError):
    """The connection was lost after a message was published, which may be the cause."""


class UpstreamError(Exception):
    """An upstream was reached, but its answer is broken."""

    cause = "broken_answer"


class UpstreamTimeoutError(UpstreamError):
    """An upstream has not answered in time."""

    cause = "timeout"
