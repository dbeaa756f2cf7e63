"""What is wrong with the variables is said before a start, by the services' own settings."""

import pytest

from chassis.check_settings import faults
from tools.stack import variables
from tools.stack.layout import SERVICES, TOPOLOGY


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables of .env.example."""
    monkeypatch.delenv("ENV_FILE", raising=False)
    for role in TOPOLOGY.roles:
        for name in role.optional:
            monkeypatch.delenv(name, raising=False)
    for name, value in variables.example().items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_services_accept_the_example(environment: pytest.MonkeyPatch) -> None:
    assert faults(SERVICES) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OUTBOX_KEPT_ROWS", "0", "must be 1 or more"),
        ("OUTBOX_KEPT_HOURS", "8761", "must be 8760 or less"),
        ("EVENTS_KEPT_ROWS", "10000001", "must be 10000000 or less"),
        ("MAILS_KEPT_DAYS", "ten", "must be a whole number"),
        ("CANCELLATIONS_KEPT_DAYS", "3651", "must be 3650 or less"),
        ("GATEWAY_WORKERS", "65", "must be 64 or less"),
        ("BILLING_THREADS", "²", "must be a whole number"),
        ("EVENTS_STRICT", "maybe", "must be true or false"),
        ("EVENT_PUBLISH_TIMEOUT_SECONDS", "nan", "or less"),
        ("ORDERS_RESEND_AFTER_SECONDS", "86401", "or less"),
        ("AUTH_PROTECTED", "order", "is none of movies, products"),
        ("API_TOKEN", "short", "must be 8 to 512 visible ASCII characters"),
        ("RATE_LIMIT_READS", "many", "must be none, or NUMBER/second"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "neither an IP address nor a network"),
        ("CORS_ORIGINS", "a.example", "no origin such as https://example.org"),
        ("ALLOWED_HOSTS", "a.example:80", "no host such as api.example.org"),
        ("SMTP_TLS", "yes", "'none', 'starttls' or 'tls'"),
        ("SMTP_USER", "me", "SMTP_USER and SMTP_PASSWORD: give both, or none"),
        ("GATEWAY_PORT", "65536", "must be 65535 or less"),
    ],
)
def test_an_invalid_variable_is_reported_once_by_name(
    environment: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    environment.setenv(name, value)
    [fault] = faults(SERVICES)
    assert name in fault and words in fault


def test_an_invalid_token_is_not_repeated(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("API_TOKEN", "two words")
    assert "two words" not in faults(SERVICES)[0]


def test_two_errors_are_both_reported(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SMTP_TLS", "yes")
    environment.setenv("GATEWAY_THREADS", "0")
    assert len(faults(SERVICES)) == 2
