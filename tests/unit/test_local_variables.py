"""The variables of one machine."""

import itertools
import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from local import variables
from local.errors import StackError
from local.layout import CHECKOUT

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


def test_a_missing_variable_is_named(checkout: Path) -> None:
    (checkout / ".env").write_text(EXAMPLE.replace("BILLING_DB_USER=billing_user", ""))
    with pytest.raises(StackError, match=r"^\.env lacks BILLING_DB_USER: copy the line"):
        variables.read(checkout, {})


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
    assert resolved["INVENTORY_DB_PORT"] == "15001"
    assert resolved["RABBITMQ_PORT"] == "5673"
    assert resolved["RABBITMQ_HOST"] == "127.0.0.1"


def test_what_is_rendered_reads_back_as_it_was(tmp_path: Path) -> None:
    values = {"A": 'x #y "z" =', "B": "", "C": " $HOME ü "}
    file = tmp_path / "services.env"
    file.write_text(variables.render(values))
    assert dotenv_values(file) == values
