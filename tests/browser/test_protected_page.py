"""The page where `AUTH_PROTECTED=all`: it says which token it needs, and takes it."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from selenium.webdriver import Chrome

from chassis.settings import DatabaseSettings
from tests.browser import chromium
from tests.browser.page import Page
from tests.support.served import API_TOKEN, Served, gateway_variables, serving
from tools.stack.ports import free_port


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway whose database is down: the token of its settings is valid all the same."""
    database = DatabaseSettings(
        host="127.0.0.1", port=free_port(), name="none", user="none", password=SecretStr("none")
    )
    variables = gateway_variables(database) | {"AUTH_PROTECTED": "all"}
    with serving("gateway", variables, tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.fixture
def page(driver: Chrome, gateway: Served) -> Iterator[Page]:
    """The page in a tab without a token."""
    chromium.look(driver, 1280, 1000)
    driver.get(gateway.url)
    driver.execute_script("sessionStorage.clear()")
    page = Page(driver, gateway.url)
    page.wait_for("#summary", "Not everything is up", 60)
    yield page
    driver.execute_script("sessionStorage.clear()")


def give(page: Page, token: str) -> None:
    """Send a token with the page's form, as a person would."""
    page.find("#token").send_keys(token)
    page.click("#access button")


def test_without_a_token_it_says_which_one_it_needs(page: Page) -> None:
    needed = "a token with the scopes platform:read and billing:read"
    page.wait_for("#access-text", needed)
    assert page.find("#access").is_displayed()
    assert not page.find("main").is_displayed()
    assert not page.find("#console").is_displayed()
    assert page.errors() == []


def test_with_the_token_it_shows_everything(page: Page, gateway: Served) -> None:
    give(page, API_TOKEN)
    page.wait_for(".picture", "billing-vm")
    assert page.find("main").is_displayed()
    assert not page.find("#access").is_displayed()
    again = Page(page.driver, gateway.url)
    again.wait_for(".picture", "billing-vm")


def test_a_wrong_token_is_called_wrong(page: Page) -> None:
    give(page, "wrong-token-of-a-visitor")
    page.wait_for("#access-text", "This token is invalid or lacks the scopes")
    assert not page.find("main").is_displayed()
    give(page, API_TOKEN)
    page.wait_for(".picture", "billing-vm")
