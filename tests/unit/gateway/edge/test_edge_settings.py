"""Whom the gateway believes and how much it takes, as the variables say."""

from ipaddress import ip_network

import pytest

from chassis.errors import SettingsError
from chassis.settings import read
from gateway.edge.settings import EdgeSettings


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without the variables."""
    names = ("RATE_LIMIT_READS", "RATE_LIMIT_WRITES", "TRUSTED_PROXIES", "CORS_ORIGINS")
    for name in (*names, "ALLOWED_HOSTS", "ENV_FILE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_by_default_no_proxy_is_trusted_and_limits_are_generous() -> None:
    settings = read(EdgeSettings)
    assert (settings.proxies, settings.cors_origins) == ((), ())
    assert settings.reads is not None and settings.writes is not None
    assert (settings.reads.amount, settings.reads.get_expiry()) == (600000, 60)
    assert (settings.writes.amount, settings.writes.get_expiry()) == (300000, 60)


@pytest.mark.parametrize(
    ("value", "amount", "seconds"),
    [("1/second", 1, 1), ("60000/minute", 60000, 60), (" 5/HOUR ", 5, 3600), ("7/day", 7, 86400)],
)
def test_a_limit_is_a_number_per_time(
    variables: pytest.MonkeyPatch, value: str, amount: int, seconds: int
) -> None:
    variables.setenv("RATE_LIMIT_WRITES", value)
    limit = read(EdgeSettings).writes
    assert limit is not None
    assert (limit.amount, limit.get_expiry()) == (amount, seconds)


@pytest.mark.parametrize("value", ["none", " None "])
def test_a_limit_may_be_none(variables: pytest.MonkeyPatch, value: str) -> None:
    variables.setenv("RATE_LIMIT_READS", value)
    assert read(EdgeSettings).reads is None


@pytest.mark.parametrize(
    "value", ["", "many", "0/minute", "-1/minute", "10", "10/week", "10/2 minutes", "1;2/minute"]
)
def test_an_invalid_limit_is_refused_by_its_variables_name(
    variables: pytest.MonkeyPatch, value: str
) -> None:
    variables.setenv("RATE_LIMIT_READS", value)
    with pytest.raises(SettingsError, match=r"RATE_LIMIT_READS: must be none, or NUMBER/second"):
        read(EdgeSettings)


def test_trusted_proxies_are_addresses_and_networks(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("TRUSTED_PROXIES", "192.0.2.1, 10.0.0.0/8,fd00::/8")
    networks = tuple(map(ip_network, ("192.0.2.1/32", "10.0.0.0/8", "fd00::/8")))
    assert read(EdgeSettings).proxies == networks


@pytest.mark.parametrize("value", ["proxy", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1,", "1.2.3"])
def test_an_invalid_proxy_address_is_refused(variables: pytest.MonkeyPatch, value: str) -> None:
    variables.setenv("TRUSTED_PROXIES", value)
    with pytest.raises(SettingsError, match=r"TRUSTED_PROXIES: '.*' is neither an IP address nor"):
        read(EdgeSettings)


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://a.example", ("https://a.example",)),
        ("http://localhost:3000 ,https://a.b", ("http://localhost:3000", "https://a.b")),
    ],
)
def test_origins_are_a_list_or_all(
    variables: pytest.MonkeyPatch, value: str, origins: tuple[str, ...]
) -> None:
    variables.setenv("CORS_ORIGINS", value)
    assert read(EdgeSettings).cors_origins == origins


@pytest.mark.parametrize(
    "value", ["a.example", "https://a.example/", "*,https://a", "ftp://a", "https://a.*", "null"]
)
def test_an_invalid_origin_is_refused(variables: pytest.MonkeyPatch, value: str) -> None:
    variables.setenv("CORS_ORIGINS", value)
    with pytest.raises(SettingsError, match=r"CORS_ORIGINS: '.*' is no origin"):
        read(EdgeSettings)


def test_hosts_are_a_list_of_names(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("ALLOWED_HOSTS", " api.example.org,192.0.2.1 ")
    assert read(EdgeSettings).allowed_hosts == ("api.example.org", "192.0.2.1")


@pytest.mark.parametrize("value", ["a.example:80", "*", "a.example,", "-a", "a b", "http://a"])
def test_an_invalid_host_is_named(variables: pytest.MonkeyPatch, value: str) -> None:
    variables.setenv("ALLOWED_HOSTS", value)
    with pytest.raises(SettingsError, match=r"ALLOWED_HOSTS: '.*' is no host"):
        read(EdgeSettings)
