"""What can go wrong, in words that know neither HTTP nor a database."""

from collections.abc import Sequence
from typing import NamedTuple


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


class InvalidError(ValueError):
    """The input is understood and wrong; `errors` names each field."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.detail}" for error in errors))
        self.errors = list(errors)


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


class UpstreamError(Exception):
    """An upstream was reached and has not done its part."""

    cause = "broken_answer"


class UpstreamTimeoutError(UpstreamError):
    """An upstream has not answered in time."""

    cause = "timeout"
