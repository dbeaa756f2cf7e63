"""A browser for all tests of pages; without one they are skipped."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.browser import chromium
from tests.browser.page import Page
from tools.stack.stack import Stack


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    """A browser without a window."""
    if not chromium.is_installed():
        pytest.skip(
            f"{chromium.PROGRAM} or {chromium.DRIVER} is missing: Debian has the packages chromium "
            "and chromium-driver, which ./stack install installs; Ubuntu has a snap alone"
        )
    with chromium.browser() as driver:
        yield driver


@pytest.fixture
def page(driver: Chrome, stack: Stack) -> Page:
    """The page of what is true now, opened in a large window and shown for the first time."""
    chromium.look(driver, 1280, 1000)
    page = Page(driver, stack.url)
    page.wait_for("#summary", "Everything is up", 60)
    return page
