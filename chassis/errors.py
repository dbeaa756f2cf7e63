"""What can go wrong, in words that know neither HTTP nor a database."""

from collections.abc import Sequence
from typing import NamedTuple

MAX_ERRORS = 10
"""So many errors of one input are named; the others are counted."""
_LONGEST_FIELD, _LONGEST_DETAIL = 200, 500  # characters


def shortened(text: str, longest: int) -> str:
    """Return at most `longest` characters of `text`; an ellipsis says that more were there."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def first_line(error: Exception) -> str:
    """Return what an exception says, without the explanations that drivers put below it."""
    return str(error).strip().partition("\n")[0]


class SettingsError(Exception):
    """A variable is missing or malformed."""


class FieldError(NamedTuple):
    """What is wrong with one field."""

    field: str
    detail: str


class NotFoundError(LookupError):
    """The thing asked for does not exist."""


class ConflictError(Exception):
    """The request contradicts the state of the thing it is about."""


class PreconditionFailedError(Exception):
    """The thing is another than the request demands; nothing was done."""


class PreconditionRequiredError(Exception):
    """The request has to say which state of the thing it knows."""


class MalformedJsonError(ValueError):
    """What should be JSON is none; the message goes on where "The body" or "The file" begins."""


class InvalidError(ValueError):
    """The input is understood and wrong.

    Attributes:
        errors: names each field that is wrong, at most `MAX_ERRORS` of them, none at any length.
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
    """What is wrong with the whole has no field."""
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
    """A peer that the work needs is away; trying again later is right.

    Attributes:
        retry_after: seconds after which another try makes sense.
    """

    def __init__(self, detail: str, *, cause: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.cause = cause
        self.retry_after = retry_after


class BrokerUnavailableError(UnavailableError):
    """RabbitMQ has not taken responsibility for a message."""

    def __init__(self, detail: str, cause: str = "broker_unavailable") -> None:
        super().__init__(detail, cause=cause)


class ConnectionLostError(BrokerUnavailableError):
    """The connection was lost after a message was published: it may have cost the connection."""


class UpstreamError(Exception):
    """An upstream was reached and has not done its part."""

    cause = "broken_answer"


class UpstreamTimeoutError(UpstreamError):
    """An upstream has not answered in time."""

    cause = "timeout"
