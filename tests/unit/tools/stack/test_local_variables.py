"""The variables of one machine."""

import itertools
import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

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


def test_a_variable_that_env_lacks_comes_from_the_example(checkout: Path) -> None:
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


def test_a_byte_order_mark_is_not_part_of_the_first_name(checkout: Path) -> None:
    (checkout / ".env").write_text("GATEWAY_PORT=81\n", encoding="utf-8-sig")
    assert variables.read(checkout, {})["GATEWAY_PORT"] == "81"


def test_a_file_in_another_encoding_is_named(checkout: Path) -> None:
    (checkout / ".env").write_bytes("RABBITMQ_PASSWORD=ü\n".encode("latin-1"))
    with pytest.raises(StackError, match=r"^\.env is not UTF-8"):
        variables.read(checkout, {})


def test_a_mail_server_is_taken_from_the_file_and_from_the_environment(checkout: Path) -> None:
    assert "SMTP_HOST" not in variables.read(checkout, {})
    (checkout / ".env").write_text("SMTP_HOST=mail.kawa.fr\nSMTP_PORT=2525\n")
    values = variables.read(checkout, {"SMTP_PORT": "2526"})
    assert (values["SMTP_HOST"], values["SMTP_PORT"]) == ("mail.kawa.fr", "2526")


@pytest.mark.parametrize("port", ["", "0", "65536", "eighty", "-1", "8080.0"])
def test_an_invalid_port_is_named(checkout: Path, port: str) -> None:
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


def test_rendered_variables_are_read_back_unchanged(tmp_path: Path) -> None:
    values = {"A": 'x #y "z" =', "B": "", "C": " $HOME ü "}
    file = tmp_path / "services.env"
    file.write_text(variables.render(values))
    assert dotenv_values(file) == values


@pytest.mark.parametrize(
    ("mode", "is_exposed"),
    [(0o644, True), (0o604, True), (0o640, True), (0o600, False), (0o700, False)],
)
def test_an_env_file_that_others_can_read_is_reported(
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
