"""The variables of one machine."""

import itertools
import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from gateway.auth.scopes import CLASSES
from tools.stack import variables
from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT

EXAMPLE = (CHECKOUT / ".env.example").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that has nothing but .env.example."""
    (tmp_path / ".env.example").write_text(EXAMPLE)
    return tmp_path


def test_every_line_of_the_example_is_a_name_and_a_value_below_a_comment() -> None:
    lines = EXAMPLE.splitlines()
    for above, line in itertools.pairwise(lines):
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[A-Z][A-Z_]*=\S+", line)
            assert above.startswith("# ")


def test_the_example_names_no_variable_twice() -> None:
    names = re.findall(r"^(?:# )?([A-Z][A-Z_]*)=", EXAMPLE, re.MULTILINE)
    assert len(names) == len(set(names)) > 30


def test_the_example_is_used_where_there_is_no_env_file(checkout: Path) -> None:
    assert variables.read(checkout, {})["GATEWAY_PORT"] == "8080"


def test_the_env_file_wins_over_the_example_and_the_environment_over_both(checkout: Path) -> None:
    (checkout / ".env").write_text(EXAMPLE.replace("GATEWAY_PORT=8080", "export GATEWAY_PORT=81"))
    assert variables.read(checkout, {})["GATEWAY_PORT"] == "81"
    assert variables.read(checkout, {"GATEWAY_PORT": "82"})["GATEWAY_PORT"] == "82"


def test_a_line_that_the_env_file_lacks_comes_from_the_example(checkout: Path) -> None:
    (checkout / ".env").write_text("GATEWAY_PORT=81\n")
    values = variables.read(checkout, {})
    assert (values["GATEWAY_PORT"], values["BILLING_DB_USER"]) == ("81", "billing_user")


def test_an_empty_value_is_named(checkout: Path) -> None:
    (checkout / ".env").write_text("BILLING_DB_USER=\n")
    with pytest.raises(StackError, match=r"^BILLING_DB_USER is empty: "):
        variables.read(checkout, {})
    with pytest.raises(StackError, match=r"^BILLING_DB_USER, GATEWAY_PORT are empty: "):
        variables.read(checkout, {"GATEWAY_PORT": ""})


def test_a_mistyped_name_is_named(checkout: Path) -> None:
    (checkout / ".env").write_text("GATWAY_PORT=81\nRABBITMQ_HOST=127.0.0.1\n")
    with pytest.raises(StackError, match=r"^\.env sets GATWAY_PORT, which .* mistyped\?$"):
        variables.read(checkout, {})


@pytest.mark.parametrize("line", ["GATEWAY_PORT", "GATEWAY_PORT: 81", "two words=1", "A='open"])
def test_a_malformed_line_is_named_by_its_number(checkout: Path, line: str) -> None:
    (checkout / ".env").write_text(f"# a comment\n\nGATEWAY_PORT=81\n\n\n{line}\n")
    with pytest.raises(StackError, match=r"^\.env, line 6: not NAME=value\.$"):
        variables.read(checkout, {})


def test_a_byte_order_mark_is_no_part_of_the_first_name(checkout: Path) -> None:
    (checkout / ".env").write_text("GATEWAY_PORT=81\n", encoding="utf-8-sig")
    assert variables.read(checkout, {})["GATEWAY_PORT"] == "81"


def test_a_file_in_another_encoding_is_named(checkout: Path) -> None:
    (checkout / ".env").write_bytes("RABBITMQ_PASSWORD=ü\n".encode("latin-1"))
    with pytest.raises(StackError, match=r"^\.env is not UTF-8"):
        variables.read(checkout, {})


@pytest.mark.parametrize(("name", "most"), variables.KEPT.items())
def test_how_long_things_are_kept_is_a_number_that_services_take(
    checkout: Path, name: str, most: int
) -> None:
    assert variables.read(checkout, {name: str(most)})[name] == str(most)
    for value in ("0", str(most + 1), "1.5", "ten"):
        sentence = f"^{name} has to be a whole number, 1 to {most}, and is '{value}'"
        with pytest.raises(StackError, match=sentence):
            variables.read(checkout, {name: value})


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5", "²", "1000"])
@pytest.mark.parametrize("name", ["GATEWAY_WORKERS", "BILLING_THREADS", "ORDERS_WORKERS"])
def test_a_size_that_is_none_is_named(checkout: Path, name: str, number: str) -> None:
    with pytest.raises(StackError, match=f"^{name} has to be a whole number, 1 to "):
        variables.read(checkout, {name: number})


@pytest.mark.parametrize("value", ["yes", "1", "True", "TRUE", "on"])
def test_a_switch_that_is_neither_true_nor_false_is_named(checkout: Path, value: str) -> None:
    sentence = f"^EVENTS_STRICT has to be true or false, and is '{value}'\\.$"
    with pytest.raises(StackError, match=sentence):
        variables.read(checkout, {"EVENTS_STRICT": value})
    assert variables.read(checkout, {"EVENTS_STRICT": "true"})["EVENTS_STRICT"] == "true"


@pytest.mark.parametrize(
    "value", ["0", "0.0", "-1", "31", "30.5", "two", "1e1", "nan", "inf", "1."]
)
def test_a_time_that_is_none_is_named(checkout: Path, value: str) -> None:
    sentence = "^EVENT_PUBLISH_TIMEOUT_SECONDS has to be a number above 0, 30 at most, and is "
    with pytest.raises(StackError, match=sentence):
        variables.read(checkout, {"EVENT_PUBLISH_TIMEOUT_SECONDS": value})


@pytest.mark.parametrize("value", ["2", "0.5", "30"])
def test_a_time_may_have_a_fraction(checkout: Path, value: str) -> None:
    values = variables.read(checkout, {"EVENT_PUBLISH_TIMEOUT_SECONDS": value})
    assert values["EVENT_PUBLISH_TIMEOUT_SECONDS"] == value


@pytest.mark.parametrize("value", ["all", "none", "orders", "orders, Products ,billing", "events"])
def test_what_needs_a_token_is_a_list_or_all_or_none(checkout: Path, value: str) -> None:
    assert variables.read(checkout, {"AUTH_PROTECTED": value})["AUTH_PROTECTED"] == value


@pytest.mark.parametrize("value", ["order", "orders,", "all,orders", "none,none", "orders;movies"])
def test_what_is_not_to_be_protected_is_named(checkout: Path, value: str) -> None:
    sentence = f"^AUTH_PROTECTED has to be all, none, or a list of movies,.*, and is '{value}'\\.$"
    with pytest.raises(StackError, match=sentence):
        variables.read(checkout, {"AUTH_PROTECTED": value})


def test_what_may_be_protected_is_what_the_gateway_protects() -> None:
    assert variables.PROTECTED == CLASSES


@pytest.mark.parametrize("token", ["short", "two words of it", "jeton-privé", "x" * 513])
def test_a_token_that_is_none_is_refused_and_not_told(checkout: Path, token: str) -> None:
    with pytest.raises(StackError, match=r"^API_TOKEN has to be 8 to 512 ") as raised:
        variables.read(checkout, {"API_TOKEN": token})
    assert token not in str(raised.value)


def test_a_mail_server_is_taken_from_the_file_and_from_the_environment(checkout: Path) -> None:
    assert "SMTP_HOST" not in variables.read(checkout, {})
    (checkout / ".env").write_text("SMTP_HOST=mail.kawa.fr\nSMTP_PORT=2525\n")
    values = variables.read(checkout, {"SMTP_PORT": "2526"})
    assert (values["SMTP_HOST"], values["SMTP_PORT"]) == ("mail.kawa.fr", "2526")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SMTP_PORT": "smtp"}, r"SMTP_PORT has to be a port, 1 to 65535, and is 'smtp'\."),
        ({"SMTP_HOST": ""}, "SMTP_HOST is empty: give a value, or remove the line."),
        ({"SMTP_TLS": "yes"}, r"SMTP_TLS has to be none, starttls or tls, and is 'yes'\."),
        ({"SMTP_USER": "me"}, "SMTP_USER and SMTP_PASSWORD: give both, or none."),
        ({"SMTP_PASSWORD": "secret"}, "SMTP_USER and SMTP_PASSWORD: give both, or none."),
        (
            {"SMTP_USER": "me", "SMTP_PASSWORD": "secret"},
            "SMTP_TLS has to be starttls or tls where there is an SMTP_PASSWORD.",
        ),
    ],
)
def test_what_is_wrong_with_a_mail_server_is_named(
    checkout: Path, given: dict[str, str], sentence: str
) -> None:
    with pytest.raises(StackError, match=f"^{sentence}$"):
        variables.read(checkout, given)


@pytest.mark.parametrize("port", ["", "0", "65536", "eighty", "-1", "8080.0"])
def test_a_port_that_is_none_is_named(checkout: Path, port: str) -> None:
    (checkout / ".env").write_text(EXAMPLE.replace("GATEWAY_PORT=8080", f"GATEWAY_PORT={port}"))
    with pytest.raises(StackError, match="GATEWAY_PORT"):
        variables.read(checkout, {})


@pytest.mark.parametrize("password", ["it's", "back\\slash", "two\nlines", "${HOME}"])
def test_a_value_that_the_services_would_read_differently_is_refused(
    checkout: Path, password: str
) -> None:
    with pytest.raises(StackError, match="RABBITMQ_PASSWORD may not hold"):
        variables.read(checkout, {"RABBITMQ_PASSWORD": password})


def test_on_one_machine_every_service_has_a_loopback_address(checkout: Path) -> None:
    values = variables.read(checkout, {})
    ports = {"INVENTORY_DB_PORT": 15001, "RABBITMQ_PORT": 5673}
    resolved = variables.resolve(values, variables.ADDRESSES, ports, Path("/state"))
    assert resolved["GATEWAY_BIND"] == resolved["GATEWAY_VM_IP"] == "127.0.0.1"
    assert resolved["BILLING_BIND"] == resolved["BILLING_VM_IP"] == "127.0.0.12"
    assert resolved["CUSTOMERS_BIND"] == resolved["CUSTOMERS_VM_IP"] == "127.0.0.13"
    assert resolved["ORDERS_BIND"] == resolved["ORDERS_VM_IP"] == "127.0.0.14"
    assert resolved["INVENTORY_DB_PORT"] == "15001"
    assert resolved["RABBITMQ_PORT"] == "5673"
    assert resolved["RABBITMQ_HOST"] == "127.0.0.1"


def test_what_is_rendered_reads_back_as_it_was(tmp_path: Path) -> None:
    values = {"A": 'x #y "z" =', "B": "", "C": " $HOME ü "}
    file = tmp_path / "services.env"
    file.write_text(variables.render(values))
    assert dotenv_values(file) == values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMIT_READS", "none"),
        ("RATE_LIMIT_WRITES", "10/second"),
        ("TRUSTED_PROXIES", "192.0.2.1, 10.0.0.0/8,fd00::/8"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "http://localhost:3000, https://a.example"),
        ("ALLOWED_HOSTS", "api.example.org, 192.0.2.1"),
    ],
)
def test_what_the_gateway_takes_from_outside_is_read(checkout: Path, name: str, value: str) -> None:
    assert variables.read(checkout, {name: value})[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMIT_READS", "many"),
        ("RATE_LIMIT_WRITES", "0/second"),
        ("RATE_LIMIT_WRITES", "10/week"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.1,"),
        ("CORS_ORIGINS", "example.org"),
        ("CORS_ORIGINS", "*,https://a.example"),
        ("ALLOWED_HOSTS", "a.example:8080"),
        ("ALLOWED_HOSTS", "a.example,"),
        ("ALLOWED_HOSTS", "*"),
    ],
)
def test_what_the_gateway_can_not_take_is_named(checkout: Path, name: str, value: str) -> None:
    with pytest.raises(StackError, match=f"^{name} has to be .*, and is '"):
        variables.read(checkout, {name: value})


@pytest.mark.parametrize(
    ("mode", "is_exposed"),
    [(0o644, True), (0o604, True), (0o640, True), (0o600, False), (0o700, False)],
)
def test_an_own_file_that_others_can_read_is_reported(
    tmp_path: Path, mode: int, is_exposed: bool
) -> None:
    assert variables.exposure(tmp_path) is None
    own = tmp_path / ".env"
    own.touch()
    own.chmod(mode)
    expected = (
        f"{own} holds passwords, and other users of this machine can read it: chmod 600 {own}"
    )
    assert variables.exposure(tmp_path) == (expected if is_exposed else None)
