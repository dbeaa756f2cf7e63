"""The schemas of requests to customers."""

from string import digits
from typing import Annotated, Any

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from chassis.schema.fields import ABSENT, STRIPPED, Change, Schema, SearchText, Title, text
from chassis.schema.paging import Page

MAX_LOCAL_PART = 64  # RFC 5321, section 4.5.3.1.1
_LONGEST_PHONE = 32
_ENCODED_WORD = "=?"  # its first characters: RFC 2047
_PHONE_SIGNS = frozenset(digits + " +().-")
# spaces and hyphens of word processors, web pages and address books: no-break, figure, thin, narrow
_PLAIN = str.maketrans(
    dict.fromkeys("\u00a0\u2007\u2009\u202f", " ") | dict.fromkeys("\u2010\u2011\u2012\u2013", "-")
)


def _email(address: str) -> str:
    try:
        if _ENCODED_WORD in address:
            raise EmailNotValidError
        return _checked(address)
    except EmailNotValidError:
        detail = f"must be an email address, like ben@kawa.fr; {_fault(address)}"
        raise PydanticCustomError("email", "{detail}", {"detail": detail}) from None


def _checked(address: str) -> str:
    return validate_email(
        address, check_deliverability=False, strict=True, test_environment=True
    ).normalized


def _fault(address: str) -> str:
    """Describe what is wrong with an address; the library's message is not shown."""
    local, _, domain = address.rpartition("@")
    if address.count("@") != 1:
        return "it has one @"
    if not local or not domain:
        return "there is something on both sides of its @"
    if len(local) > MAX_LOCAL_PART:
        return f"before its @ are at most {MAX_LOCAL_PART} characters"
    if _ENCODED_WORD in local:
        return "before its @ is no =?, which mail programs take for an encoded word and decode"
    if not _is_email(f"ben@{domain}"):
        return "what is behind its @ is a domain that mail can be sent to"
    if not _is_email(f"{local}@kawa.fr"):
        return (
            "before its @ are letters, digits, single dots between them, and none of "
            "spaces, quotes, commas and brackets"
        )
    return "it is too long"


def _is_email(address: str) -> bool:
    try:
        _checked(address)
    except EmailNotValidError:
        return False
    return True


def _phone(value: str) -> str | None:
    phone = value.translate(_PLAIN)
    if len(phone) > _LONGEST_PHONE:
        raise PydanticCustomError("phone", f"must have at most {_LONGEST_PHONE} characters")
    if not set(phone) <= _PHONE_SIGNS:
        raise PydanticCustomError("phone", "must have digits, spaces and + ( ) . - only")
    if not phone.strip():
        return None
    if not set(phone) & set(digits):
        raise PydanticCustomError("phone", "must have a digit, or be empty")
    return phone


def _none_if_empty(value: Any) -> Any:
    return value or None


NONE_IF_EMPTY = AfterValidator(_none_if_empty)

Email = Annotated[str, STRIPPED, text(1, 254), AfterValidator(_email)]
"""An email address (RFC 5321, 6531), as email-validator normalizes it.

The part before the @ is only normalized to Unicode's NFC. The domain is in lower case, and in
Unicode even if it is given as `xn--…`. Quoted parts, IP addresses and domains that no mail can
reach (RFC 6761, such as `.local`) are refused; `.test` is accepted, for tests.
"""

Company = Annotated[str, STRIPPED, text(0, 255), NONE_IF_EMPTY]
"""At most 255 characters, stripped of white space; an empty text means none."""

Phone = Annotated[str, AfterValidator(_phone)]
"""A telephone number as people write it; spaces and hyphens of any kind become plain ones.

An empty or blank text means none.
"""


class NewCustomer(Schema):
    """A new customer."""

    name: Title
    email: Email
    company: Company | None = None
    phone: Phone | None = None


class CustomerChange(Change):
    """Changes of a customer."""

    name: Title = ABSENT
    email: Email = ABSENT
    company: Company | None = None
    phone: Phone | None = None


class CustomerQuery(Page):
    """A page of customers."""

    email: Email | None = None
    name: SearchText | None = None
