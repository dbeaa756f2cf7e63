"""docs/configuration.md has every variable, as .env.example and the settings say."""

from functools import cache

import pytest

from tools.configuration import document, example
from tools.configuration.example import Variable, variables
from tools.configuration.readers import readings

ALL = list(variables(example.FILE.read_text()))
# what PM2's files say
OF_PM2 = {"CODE_DIR", "PROCESS_NAME", "MACHINE_NAME"}
TEXT = """\
# What the file is about.

## Ports

# Port of the gateway,
# the only way in
GATEWAY_PORT=8080

## Off

# Mail server
# SMTP_HOST=smtp.example.org
"""


@cache
def tables() -> str:
    """The tables, made once."""
    return document.tables()


def test_the_document_is_fresh() -> None:
    text = document.FILE.read_text()
    assert text == document.with_tables(text, tables()), "run ./stack configuration"


def test_services_read_no_variable_that_the_example_lacks() -> None:
    assert set(readings(ALL)) - {variable.name for variable in ALL} == OF_PM2


def test_variables_have_their_section_and_the_comment_above_them() -> None:
    gateway = Variable(
        "Ports", "GATEWAY_PORT", "8080", "Port of the gateway, the only way in", True
    )
    smtp = Variable("Off", "SMTP_HOST", "smtp.example.org", "Mail server", False)
    assert list(variables(TEXT)) == [gateway, smtp]


def test_a_variable_without_a_comment_is_an_error() -> None:
    with pytest.raises(ValueError, match="GATEWAY_PORT has no comment"):
        list(variables("GATEWAY_PORT=8080"))


def test_a_document_without_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="lacks"):
        document.with_tables("# Configuration", "")


def row(name: str) -> list[str]:
    """The cells of a variable's row."""
    [line] = [line for line in tables().splitlines() if line.startswith(f"| `{name}` |")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


@pytest.mark.parametrize(
    ("name", "default", "values", "readers"),
    [
        ("GATEWAY_THREADS", "`160`", "1 to 256", "gateway"),
        ("OUTBOX_KEPT_HOURS", "`24`", "hours, 1 to 8760", "every service"),
        ("ORDERS_RESEND_AFTER_SECONDS", "`120`", "seconds, above 0, at most 86,400", "orders"),
        ("EVENTS_STRICT", "`false`", "`true`, `false`", "customers"),
        ("SMTP_TLS", "`none`", "`none`, `starttls`, `tls`", "orders"),
        ("SMTP_HOST", "none, such as `smtp.example.org`", "a host", "orders"),
        ("BILLING_DB_NAME", "`billing_db`", "text", "gateway, billing"),
        ("GATEWAY_FORWARDED_PORT", "`8080`", "1 to 65535", "`vagrant up`"),
    ],
)
def test_a_row_says_default_values_and_readers(
    name: str, default: str, values: str, readers: str
) -> None:
    cells = row(name)
    assert (cells[1], cells[2], cells[4]) == (default, values, readers)
