"""`/docs` in a browser: Swagger UI, and "Try it out" with and without a token."""

from selenium.webdriver import Chrome

from tests.browser import chromium
from tests.browser.page import Page
from tools.stack.stack import Stack

MOVIES, ORDERS = "#operations-movies-listMovies", "#operations-orders-listOrders"
STATUS = ".live-responses-table .response .response-col_status"


def opened(driver: Chrome, stack: Stack) -> Page:
    """The page, when the operations are there."""
    chromium.look(driver, 1280, 1000)
    page = Page(driver, f"{stack.url}/docs")
    page.wait_for(MOVIES, "/api/movies", 60)
    return page


def authorize(page: Page, token: str) -> None:
    """Give the token, as a person would."""
    page.click(".auth-wrapper .authorize")
    page.wait_for(".modal-ux", "bearerAuth")
    page.find(".modal-ux input").send_keys(token)
    page.click(".modal-ux .auth-btn-wrapper .authorize")
    page.wait_for(".modal-ux", "Logout")
    page.click(".modal-ux .close-modal")


def try_out(page: Page, operation: str) -> None:
    """Open an operation and execute it with its examples."""
    page.click(f"{operation} .opblock-summary-control")
    page.click(f"{operation} .try-out__btn")
    page.click(f"{operation} .execute")


def test_try_it_out_works_with_the_token(driver: Chrome, stack: Stack) -> None:
    page = opened(driver, stack)
    authorize(page, stack.variables["API_TOKEN"])
    for operation in (MOVIES, ORDERS):
        try_out(page, operation)
        page.wait_for(f"{operation} {STATUS}", "200")
    assert page.errors() == []
    assert [name for name in page.loaded() if not name.startswith(f"{stack.url}/")] == []


def test_without_a_token_try_it_out_shows_the_problem(driver: Chrome, stack: Stack) -> None:
    page = opened(driver, stack)
    try_out(page, ORDERS)
    page.wait_for(f"{ORDERS} {STATUS}", "401")
