"""Which variables customers reads."""

import pytest

from chassis.errors import SettingsError
from customers.settings import load

VARIABLES = {
    "CUSTOMERS_DB_NAME": "customers_db",
    "CUSTOMERS_DB_USER": "customers_user",
    "CUSTOMERS_DB_PASSWORD": "secret of the database",
    "RABBITMQ_USER": "rabbitmq_user",
    "RABBITMQ_PASSWORD": "secret of the broker",
    "RABBITMQ_VHOST": "billing_vhost",
    "RABBITMQ_QUEUE": "billing_queue",
    "BILLING_VM_IP": "192.168.56.12",
}


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with what has no default, and nothing else."""
    for name in ("EVENTS_STRICT", "EVENT_PUBLISH_TIMEOUT_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_events_use_the_outbox_by_default() -> None:
    settings = load()
    assert not settings.events.events_strict
    assert settings.events.event_publish_timeout_seconds == 2


def test_strict_mode_and_its_time_out_are_read(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("EVENTS_STRICT", "true")
    variables.setenv("EVENT_PUBLISH_TIMEOUT_SECONDS", "0.5")
    settings = load()
    assert settings.events.events_strict
    assert settings.events.event_publish_timeout_seconds == 0.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENTS_STRICT", "perhaps"),
        ("EVENT_PUBLISH_TIMEOUT_SECONDS", "0"),
        ("EVENT_PUBLISH_TIMEOUT_SECONDS", "-1"),
        ("EVENT_PUBLISH_TIMEOUT_SECONDS", "31"),
        ("EVENT_PUBLISH_TIMEOUT_SECONDS", "nan"),
        ("CUSTOMERS_API_PORT", "0"),
        ("CUSTOMERS_RELAY_PORT", "65536"),
        ("CUSTOMERS_THREADS", "0"),
    ],
)
def test_a_malformed_variable_is_named(
    variables: pytest.MonkeyPatch, name: str, value: str
) -> None:
    variables.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load()


@pytest.mark.parametrize("name", VARIABLES)
def test_a_missing_variable_is_named(variables: pytest.MonkeyPatch, name: str) -> None:
    variables.delenv(name)
    with pytest.raises(SettingsError, match=name):
        load()


def test_no_password_is_in_what_is_printed_of_the_settings() -> None:
    assert "secret" not in repr(load())
