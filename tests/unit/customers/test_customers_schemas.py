"""What a customer's email, phone and company may be, and what is kept of them."""

import string
from typing import Any

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chassis.schema.validation import field_errors
from customers.schemas import Company, Email, Phone

EMAIL: TypeAdapter[str] = TypeAdapter(Email)
PHONE: TypeAdapter[str | None] = TypeAdapter(Phone)
COMPANY: TypeAdapter[str | None] = TypeAdapter(Company)
PHONE_SIGNS = string.digits + " +()-."
# kept as spaces and hyphens
VARIANTS = "\u00a0\u2007\u2009\u202f\u2010\u2011\u2012\u2013"
LABEL = "x" * 63
LONGEST = f"{'a' * 64}@{LABEL}.{LABEL}.{'x' * 58}.fr"
NO_STRINGS = [None, True, 5, 1.5, ["ben@kawa.fr"], {"email": "ben@kawa.fr"}, b"ben@kawa.fr"]
NO_EMAILS = {
    "empty": "",
    "white space": " \t",
    "no at": "ben",
    "nothing before the at": "@kawa.fr",
    "nothing behind the at": "ben@",
    "two ats": "ben@kawa@kawa.fr",
    "no top-level domain": "ben@kawa",
    "a top-level domain of digits": "ben@kawa.123",
    "localhost": "ben@localhost",
    "a domain of the local network": "ben@kawa.local",
    "an IP address": "ben@127.0.0.1",
    "a bracketed IP address": "ben@[127.0.0.1]",
    "a space before the at": "ben kawa@kawa.fr",
    "a space around the at": "ben @ kawa.fr",
    "a line break inside": "ben@kawa\n.fr",
    "a header behind a line break": "ben@kawa.fr\nBcc: eve@kawa.fr",
    "quoted": '"ben"@kawa.fr',
    "quoted, with a space": '"ben kawa"@kawa.fr',
    "a name before it": "Ben <ben@kawa.fr>",
    "in angle brackets": "<ben@kawa.fr>",
    "two of them": "ben@kawa.fr,eve@kawa.fr",
    "a comment": "ben(Ben)@kawa.fr",
    "a dot in front": ".ben@kawa.fr",
    "a dot before the at": "ben.@kawa.fr",
    "two dots": "b..en@kawa.fr",
    "a dot at the end": "ben@kawa.fr.",
    "a hyphen in front of the domain": "ben@-kawa.fr",
    "an underscore in the domain": "ben@ka_wa.fr",
    "an emoji in the domain": "ben@😀.fr",
    "a broken punycode domain": "ben@xn--a.fr",
    "a full-width at": "ben\uff20kawa.fr",
    "a zero-width space": "b\u200ben@kawa.fr",
    "a change of direction": "\u202eben@kawa.fr",
    "NUL": "b\x00en@kawa.fr",
    "a lone surrogate": "b\ud800en@kawa.fr",
    "65 characters before the at": f"{'x' * 65}@kawa.fr",
    "a label of 64 characters": f"ben@{LABEL}x.fr",
    "255 characters": LONGEST.replace(".fr", "x.fr"),
    "a mebibyte": "x" * 2**20 + "@kawa.fr",
}
KEPT = {
    "a domain for tests": ("ben@kawa.test", "ben@kawa.test"),
    "as it is": ("ben@kawa.fr", "ben@kawa.fr"),
    "the domain in small letters": ("ben@KAWA.Fr", "ben@kawa.fr"),
    "the case before the at": ("Ben.Kawa@kawa.fr", "Ben.Kawa@kawa.fr"),
    "without white space around": (" ben@kawa.fr\n", "ben@kawa.fr"),
    "a tag": ("ben+movies@kawa.fr", "ben+movies@kawa.fr"),
    "an apostrophe": ("o'neil@kawa.ie", "o'neil@kawa.ie"),
    "a Unicode domain": ("ben@KÖLN.de", "ben@köln.de"),
    "a punycode domain as Unicode": ("ben@xn--kln-sna.de", "ben@köln.de"),
    "a full-width domain as plain letters": ("ben@\uff4bawa.fr", "ben@kawa.fr"),
    "an ideographic full stop as a dot": ("ben@kawa。fr", "ben@kawa.fr"),
    "a Unicode name": ("rené@kawa.fr", "rené@kawa.fr"),
    "a Unicode name in its composed form": ("rene\u0301@kawa.fr", "rené@kawa.fr"),
    "an emoji before the at": ("😀@kawa.fr", "😀@kawa.fr"),
    "64 characters before the at": (f"{'x' * 64}@kawa.fr", f"{'x' * 64}@kawa.fr"),
    "254 characters": (LONGEST, LONGEST),
}


def test_the_longest_email_has_254_characters() -> None:
    assert len(LONGEST) == 254


@pytest.mark.parametrize("email", NO_EMAILS)
def test_an_invalid_email_is_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        EMAIL.validate_python(NO_EMAILS[email], strict=True)


@pytest.mark.parametrize("kind", [EMAIL, PHONE, COMPANY], ids=["email", "phone", "company"])
@pytest.mark.parametrize("value", NO_STRINGS, ids=str)
def test_values_other_than_strings_are_refused(
    kind: TypeAdapter[str | None], value: object
) -> None:
    with pytest.raises(ValidationError):
        kind.validate_python(value, strict=True)


@pytest.mark.parametrize("how", KEPT)
def test_an_email_is_stored_unchanged(how: str) -> None:
    sent, kept = KEPT[how]
    assert EMAIL.validate_python(sent, strict=True) == kept


@given(st.one_of(st.emails(), st.text(max_size=40).map(lambda name: f"{name}@kawa.fr")))
def test_an_email_is_refused_or_stored_in_a_stable_form_that_fits_its_column(sent: str) -> None:
    try:
        validate_email(sent.strip(), check_deliverability=False, strict=True)
    except EmailNotValidError:
        assume(False)
    assume("=?" not in sent)
    kept = EMAIL.validate_python(sent, strict=True)
    assert len(kept) <= 254
    assert "\x00" not in kept
    assert EMAIL.validate_python(kept, strict=True) == kept


@pytest.mark.parametrize(
    "phone",
    ["0601020304", "+33 6 01 02 03 04", "(555) 010-4477", "06.01.02.03.04", " 06", "0" * 32],
)
def test_a_phone_is_stored_as_given(phone: str) -> None:
    assert PHONE.validate_python(phone, strict=True) == phone


@given(st.text(PHONE_SIGNS, min_size=1, max_size=32).filter(set(string.digits).intersection))
def test_any_text_of_phone_characters_is_a_phone(phone: str) -> None:
    assert PHONE.validate_python(phone, strict=True) == phone


@given(st.text(max_size=32).filter(lambda text: set(text) - set(PHONE_SIGNS + VARIANTS)))
def test_no_text_with_another_character_is_a_phone(text: str) -> None:
    with pytest.raises(ValidationError):
        PHONE.validate_python(text, strict=True)


@pytest.mark.parametrize(
    "phone", ["0" * 33, "06\n", "06\t07", "06/07", "06x", "tel:06", "\u0660\u0661", "\uff10\uff16"]
)
def test_an_invalid_phone_is_refused(phone: str) -> None:
    with pytest.raises(ValidationError):
        PHONE.validate_python(phone, strict=True)


def refusal(kind: TypeAdapter[Any], wrong: str) -> str:
    """What is said of a value that is refused."""
    with pytest.raises(ValidationError) as raised:
        kind.validate_python(wrong, strict=True)
    [fault] = field_errors(raised.value)
    return fault.detail


@pytest.mark.parametrize(
    "phone", ["06\u00a001\u202f02\u200903\u200704", "06 01 02 03\u00a004"], ids=ascii
)
def test_spaces_of_a_phone_that_do_not_break_are_kept_as_plain_ones(phone: str) -> None:
    assert PHONE.validate_python(phone, strict=True) == "06 01 02 03 04"


def test_hyphens_of_a_phone_are_kept_as_plain_ones() -> None:
    assert PHONE.validate_python("06\u201101\u201002\u201303", strict=True) == "06-01-02-03"


@pytest.mark.parametrize("phone", ["+", "()", " - ", "....", "+ (-)"])
def test_a_phone_without_a_digit_is_refused(phone: str) -> None:
    assert refusal(PHONE, phone) == "must have a digit, or be empty"


def test_an_invalid_phone_is_refused_with_the_definition_of_a_phone() -> None:
    assert refusal(PHONE, "06x") == "must have digits, spaces and + ( ) . - only"
    assert refusal(PHONE, "0" * 33) == "must have at most 32 characters"


@pytest.mark.parametrize("how", NO_EMAILS)
def test_an_invalid_email_is_refused_in_our_words(how: str) -> None:
    said = refusal(EMAIL, NO_EMAILS[how])
    assert said.startswith("must ")
    assert not any(theirs in said for theirs in ("@-sign", "valid ", "pattern", "Unicode"))


@pytest.mark.parametrize(
    ("email", "reason"),
    [
        ("ben", "it has one @"),
        ("=?x?q?ceo?=@corp.test", "before its @ is no =?, which mail programs take for"),
        ("=?utf-8?q??=@x.test", "before its @ is no =?, which mail programs take for"),
        ("ben@kawa@kawa.fr", "it has one @"),
        ("ben@", "there is something on both sides of its @"),
        (f"{'x' * 65}@kawa.fr", "before its @ are at most 64 characters"),
        ("ben@localhost", "what is behind its @ is a domain that mail can be sent to"),
        (
            "b..en@kawa.fr",
            "before its @ are letters, digits, single dots between them, and none of ",
        ),
        ("ben kawa@kawa.fr", "before its @ are letters, digits"),
    ],
)
def test_the_error_of_an_email_names_what_is_missing(email: str, reason: str) -> None:
    assert refusal(EMAIL, email).startswith(f"must be an email address, like ben@kawa.fr; {reason}")


def test_an_empty_phone_or_company_means_none() -> None:
    assert PHONE.validate_python(" ", strict=True) is None
    assert PHONE.validate_python("", strict=True) is None
    assert COMPANY.validate_python("", strict=True) is None
    assert COMPANY.validate_python(" \t\u00a0", strict=True) is None


@pytest.mark.parametrize(
    ("company", "kept"),
    [("  Kawa Corp\n", "Kawa Corp"), ("é" * 255, "é" * 255), ("😀 & <Söhne>", "😀 & <Söhne>")],
)
def test_a_company_is_stored_without_surrounding_white_space(company: str, kept: str) -> None:
    assert COMPANY.validate_python(company, strict=True) == kept


@pytest.mark.parametrize("company", ["x" * 256, "a\x00b", "\ud800"])
def test_an_invalid_company_is_refused(company: str) -> None:
    with pytest.raises(ValidationError):
        COMPANY.validate_python(company, strict=True)
