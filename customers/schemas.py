"""What the routes of customers accept."""

from typing import Annotated, Any

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from chassis.fields import NO_NUL, Schema, SearchText, Title
from chassis.paging import Page


def _normalized(address: str) -> str:
    try:
        checked = validate_email(
            address, check_deliverability=False, strict=True, test_environment=True
        )
    except EmailNotValidError as error:
        raise PydanticCustomError("email", "{reason}", {"reason": _reason(error)}) from None
    return checked.normalized


def _reason(error: EmailNotValidError) -> str:
    return f"must be an email address: {str(error).rstrip('.')}"


def _none_if_empty(value: Any) -> Any:
    return value or None


NONE_IF_EMPTY = AfterValidator(_none_if_empty)

Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=254),
    AfterValidator(_normalized),
]
"""An email address (RFC 5321, 6531), as email-validator normalizes it.

The part before the @ stays as it is, but for Unicode's NFC. The domain is in small letters, and in
Unicode even if it is given as `xn--…`. Quoted parts, IP addresses and domains that no mail can
reach (RFC 6761, such as `.local`) are refused; `.test` is what its name says.
"""

Company = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=255), NO_NUL, NONE_IF_EMPTY
]
"""At most 255 characters, without white space around them; none of them means none."""

Phone = Annotated[str, StringConstraints(max_length=32, pattern=r"^[0-9 +().-]*$"), NONE_IF_EMPTY]
"""A telephone number as people write it, kept as given; an empty one means none."""


class NewCustomer(Schema):
    """A customer to be created."""

    name: Title
    email: Email
    company: Company | None = None
    phone: Phone | None = None


class CustomerChange(Schema):
    """What is to change of a customer; what is left out stays."""

    name: Title = Field(default="")
    email: Email = Field(default="")
    company: Company | None = None
    phone: Phone | None = None

    @model_validator(mode="after")
    def _names_something(self) -> "CustomerChange":
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "must have name, email, company or phone")
        return self


class CustomerQuery(Page):
    """Which customers to list."""

    email: Email | None = None
    name: SearchText | None = None
