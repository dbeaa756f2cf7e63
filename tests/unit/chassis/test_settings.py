"""Settings: where values come from, and what is said when they are missing or wrong."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import make_url

import billing.settings
import gateway.settings
import inventory.settings
from chassis.errors import SettingsError
from chassis.settings import DatabaseSettings, PortSettings, ServerSettings, read, read_broker

DATABASE = {
    "INVENTORY_DB_NAME": "movies_db",
    "INVENTORY_DB_USER": "inventory_user",
    "INVENTORY_DB_PASSWORD": "secret of the database",
}
BROKER = {
    "RABBITMQ_USER": "rabbitmq_user",
    "RABBITMQ_PASSWORD": "secret of the broker",
    "RABBITMQ_VHOST": "billing_vhost",
    "RABBITMQ_QUEUE": "billing_queue",
    "BILLING_VM_IP": "192.168.56.12",
}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which nothing but the database and the broker is set."""
    for name, value in {**DATABASE, **BROKER}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that `ENV_FILE` names, empty."""
    path = tmp_path / ".env"
    path.touch()
    monkeypatch.setenv("ENV_FILE", str(path))
    return path


@pytest.mark.parametrize("name", DATABASE)
def test_a_missing_variable_is_named(variables: pytest.MonkeyPatch, name: str) -> None:
    variables.delenv(name)
    with pytest.raises(SettingsError, match=name):
        inventory.settings.load()


@pytest.mark.parametrize("name", BROKER)
def test_a_missing_variable_of_the_broker_is_named(
    variables: pytest.MonkeyPatch, name: str
) -> None:
    variables.delenv(name)
    with pytest.raises(SettingsError, match=name):
        read_broker()


def test_everything_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        read(DatabaseSettings, "INVENTORY_DB_")
    assert all(name in str(raised.value) for name in DATABASE)


@pytest.mark.parametrize("wrong", ["eighty", "", "80.5", "0", "-1", "65536"])
def test_an_invalid_port_is_refused_by_its_variables_name(
    variables: pytest.MonkeyPatch, wrong: str
) -> None:
    variables.setenv("INVENTORY_API_PORT", wrong)
    with pytest.raises(SettingsError, match="INVENTORY_API_PORT"):
        inventory.settings.load()


@pytest.mark.parametrize("prefix", ["INVENTORY_DB_", "RABBITMQ_"])
def test_the_ports_of_the_database_and_the_broker_are_checked_alike(
    variables: pytest.MonkeyPatch, prefix: str
) -> None:
    variables.setenv("RABBITMQ_HOST", "localhost")
    variables.setenv(f"{prefix}PORT", "65536")
    with pytest.raises(SettingsError, match=f"{prefix}PORT"):
        read_broker() if prefix == "RABBITMQ_" else inventory.settings.load()


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("0", "must be 1 or more"),
        ("65536", "must be 65535 or less"),
        ("http", "must be a whole number"),
        ("", "must be a whole number"),
    ],
)
def test_errors_of_a_variable_have_our_wording(
    variables: pytest.MonkeyPatch, port: str, said: str
) -> None:
    variables.setenv("INVENTORY_API_PORT", port)
    with pytest.raises(SettingsError) as raised:
        read(PortSettings, "INVENTORY_API_")
    assert str(raised.value) == f"settings: INVENTORY_API_PORT: {said}"


def test_an_error_does_not_repeat_the_value(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("INVENTORY_DB_PORT", "a password in the wrong place")
    with pytest.raises(SettingsError) as raised:
        inventory.settings.load()
    assert "password in" not in str(raised.value)


def test_an_unset_variable_has_its_default(variables: pytest.MonkeyPatch) -> None:
    settings = inventory.settings.load()
    assert (settings.server, settings.port) == (
        ServerSettings(workers=2, threads=16),
        PortSettings(port=8080),
    )
    assert (settings.database.host, settings.database.port) == ("localhost", 5432)


def test_the_file_that_env_file_names_is_read(env_file: Path) -> None:
    variables = {**DATABASE, **BROKER}
    env_file.write_text("".join(f"{name}={value!r}\n" for name, value in variables.items()))
    assert inventory.settings.load().database.name == "movies_db"


def test_the_environment_wins_over_the_file(env_file: Path, variables: pytest.MonkeyPatch) -> None:
    env_file.write_text("INVENTORY_DB_NAME=of_the_file\nINVENTORY_API_PORT=8081\n")
    settings = inventory.settings.load()
    assert (settings.database.name, settings.port.port) == ("movies_db", 8081)


def test_rabbitmq_runs_on_billing_vm_by_default(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("BILLING_VM_IP", "192.168.56.12")
    assert read_broker().host == "192.168.56.12"
    variables.setenv("RABBITMQ_HOST", "broker.example")
    assert read_broker().host == "broker.example"


def test_rabbitmqs_host_may_stand_in_the_file(
    env_file: Path, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv("BILLING_VM_IP", "192.168.56.12")
    env_file.write_text("RABBITMQ_HOST=broker.example\n")
    assert read_broker().host == "broker.example"


def test_an_empty_host_of_rabbitmq_counts_as_none(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("BILLING_VM_IP", "192.168.56.12")
    variables.setenv("RABBITMQ_HOST", "")
    assert read_broker().host == "192.168.56.12"


def test_the_gateway_finds_the_other_services_by_their_machines_and_ports(
    variables: pytest.MonkeyPatch,
) -> None:
    for name, value in DATABASE.items():
        variables.setenv(name.replace("INVENTORY", "GATEWAY"), value)
    variables.setenv("GATEWAY_VM_IP", "127.0.0.1")
    variables.setenv("INVENTORY_VM_IP", "127.0.0.11")
    variables.setenv("INVENTORY_API_PORT", "8081")
    variables.setenv("BILLING_VM_IP", "127.0.0.12")
    variables.setenv("CUSTOMERS_VM_IP", "127.0.0.13")
    variables.setenv("ORDERS_VM_IP", "127.0.0.14")
    for service in ("BILLING", "CUSTOMERS", "ORDERS"):
        variables.setenv(f"{service}_DB_NAME", f"{service.lower()}_db")
    settings = gateway.settings.load()
    found = settings.inventory
    assert (found.name, found.host, found.port) == ("inventory-api", "127.0.0.11", 8081)
    assert (settings.billing.host, settings.billing.port) == ("127.0.0.12", 8080)
    assert (settings.customers.name, settings.customers.host) == ("customers-api", "127.0.0.13")
    assert (settings.orders.name, settings.orders.host) == ("orders-api", "127.0.0.14")


def test_billing_reads_a_port_for_each_of_its_processes(variables: pytest.MonkeyPatch) -> None:
    for name, value in DATABASE.items():
        variables.setenv(name.replace("INVENTORY", "BILLING"), value)
    variables.setenv("BILLING_VM_IP", "127.0.0.12")
    variables.setenv("BILLING_API_PORT", "8082")
    variables.setenv("BILLING_CONSUMER_PORT", "9082")
    settings = billing.settings.load()
    assert (settings.port.port, settings.consumer_port.port) == (8082, 9082)


def test_no_settings_show_a_password(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("BILLING_VM_IP", "127.0.0.12")
    settings = inventory.settings.load()
    assert "secret" not in f"{settings!r} {read_broker()!r} {settings.database.url!r}"


def test_a_password_with_any_character_arrives_at_the_database(
    variables: pytest.MonkeyPatch,
) -> None:
    variables.setenv("INVENTORY_DB_PASSWORD", "a/b@c:d%e'f é")
    url = inventory.settings.load().database.url
    assert url.drivername == "postgresql+psycopg2"
    assert make_url(url.render_as_string(hide_password=False)).password == "a/b@c:d%e'f é"


def database_at(host: str, port: str) -> DatabaseSettings:
    """The settings of a database at these places."""
    return DatabaseSettings(host=host, port=port, name="a", user="b", password=SecretStr("c"))


def test_the_host_that_accepts_writes_is_requested() -> None:
    one = database_at("db1", "5432")
    assert one.place == {"host": "db1", "port": "5432"}
    for port in ("5432", "5432,5433"):
        both = database_at("db1,db2", port).place
        assert both == {"host": "db1,db2", "port": port, "target_session_attrs": "read-write"}


@pytest.mark.parametrize(
    ("host", "port"),
    [("db1", "0"), ("db1", "x"), ("db1", "65536"), ("db1", "1,2"), ("db1,db2", "1,2,3")],
)
def test_ports_that_fit_no_hosts_are_refused(host: str, port: str) -> None:
    with pytest.raises(ValidationError):
        database_at(host, port)
