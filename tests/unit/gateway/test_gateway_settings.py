"""What of the gateway's routes needs a token, as the variables say."""

from pathlib import Path

import pytest

from chassis.errors import SettingsError
from chassis.settings import read
from gateway.auth.scopes import CLASSES
from gateway.settings import AuthSettings


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without the variables."""
    for name in ("AUTH_PROTECTED", "API_TOKEN", "ENV_FILE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_orders_need_a_token_by_default() -> None:
    settings = read(AuthSettings)
    assert settings.auth_protected == {"orders"}
    assert settings.api_token is None


@pytest.mark.parametrize(
    ("value", "classes"),
    [
        ("orders", {"orders"}),
        ("movies,products,billing,customers,orders,events,platform", set(CLASSES)),
        (" Orders ,\tBILLING", {"orders", "billing"}),
        ("orders,orders", {"orders"}),
        ("all", set(CLASSES)),
        (" ALL ", set(CLASSES)),
        ("none", set()),
        ("None", set()),
    ],
)
def test_the_protected_classes_are_a_list_or_all_or_none(
    variables: pytest.MonkeyPatch, value: str, classes: set[str]
) -> None:
    variables.setenv("AUTH_PROTECTED", value)
    assert read(AuthSettings).auth_protected == classes


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("order", "order"),
        ("orders,cinema", "cinema"),
        ("orders;billing", "orders;billing"),
        ("orders,", ""),
        ("", ""),
        ("all,orders", "all"),
        ("orders,none", "none"),
        ("clients", "clients"),
        ('["orders"]', '["orders"]'),
    ],
)
def test_a_word_that_is_no_class_is_refused_by_variable_and_word(
    variables: pytest.MonkeyPatch, value: str, word: str
) -> None:
    variables.setenv("AUTH_PROTECTED", value)
    with pytest.raises(SettingsError) as raised:
        read(AuthSettings)
    assert f"AUTH_PROTECTED: '{word}' is none of movies, products" in str(raised.value)


@pytest.mark.parametrize("token", ["8letters", "local-development-token", "!~" * 256])
def test_a_bootstrap_token_is_read_and_not_shown(variables: pytest.MonkeyPatch, token: str) -> None:
    variables.setenv("API_TOKEN", token)
    settings = read(AuthSettings)
    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == token
    assert token not in f"{settings!r}{settings}"


@pytest.mark.parametrize(
    "token", ["", "7letter", "two words", " 8letters", "8letters\n", "motdepassé", "x" * 513]
)
def test_a_weak_or_unsendable_bootstrap_token_is_refused_without_showing_it(
    variables: pytest.MonkeyPatch, token: str
) -> None:
    variables.setenv("API_TOKEN", token)
    with pytest.raises(SettingsError) as raised:
        read(AuthSettings)
    assert str(raised.value) == "settings: API_TOKEN: must be 8 to 512 visible ASCII characters"


def test_classes_and_token_may_be_in_the_file(
    variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("AUTH_PROTECTED=movies, events\nAPI_TOKEN='of#the file'\n")
    variables.setenv("ENV_FILE", str(tmp_path / ".env"))
    variables.setenv("API_TOKEN", "of-the-environment")
    settings = read(AuthSettings)
    assert settings.auth_protected == {"movies", "events"}
    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == "of-the-environment"
