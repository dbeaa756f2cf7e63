"""The page of what is true now, in a browser, while parts are broken and mended."""

import logging
import re
import time
from datetime import datetime, timedelta

import pytest
import requests
from selenium.webdriver.common.keys import Keys

from tests.browser import chromium
from tests.browser.page import Page
from tests.support.outages import stopped
from tools.stack.layout import PROCESSES, SERVICES
from tools.stack.stack import Stack
from tools.stack.status import queue_depths
from tools.stack.waiting import wait_until

TRIES = 8  # on a machine that is busy with other things
CONSUMER = '[data-key^="billing-consumer:"]'
BROKER = '[data-key="rabbitmq"]'
BILLS = '[data-key="billing_queue"]'
READY = f'{BILLS} [data-part="ready"]'
# what goes down at the same time is named in the same sentence
IS_DOWN = re.compile(r"billing-consumer( is|[^.]* are) down\.")
logger = logging.getLogger(__name__)
MARKUP = '<img src="/nothing" alt="x">'


def post_bill(stack: Stack, user: str = "usr_123") -> None:
    """Post a bill."""
    bill = {"user_id": user, "number_of_items": 3, "total_amount": 99.97}
    answer = requests.post(f"{stack.url}/api/billing", json=bill, timeout=20)
    assert answer.status_code == 202, answer.text


def depth(stack: Stack) -> str:
    """How many bills wait in the queue."""
    return queue_depths(stack.rabbitmq, [stack.rabbitmq.queue])[stack.rabbitmq.queue]


def test_it_shows_every_part_and_the_console_has_no_error(page: Page, stack: Stack) -> None:
    for service in SERVICES:
        page.wait_for(".picture", f"{service}-vm")
        page.wait_for(".picture", stack.variables[f"{service.upper()}_DB_NAME"])
    for process in PROCESSES:
        page.wait_for(f'[data-key^="{process.name}:"] [data-part="status"]', "ready")
    page.wait_for(f'{BROKER} [data-part="status"]', "up")
    page.wait_for("#queues", "billing_queue")
    page.wait_for("#outboxes", "gateway-relay")
    page.wait_for("#orders", "completed")
    assert page.errors() == []


def test_a_consumer_is_shown_as_stopped_within_three_seconds(page: Page, stack: Stack) -> None:
    shown_after = []
    for _ in range(TRIES):
        stack.pm2("stop", "billing-consumer")
        stopped = time.monotonic()
        try:
            page.wait_for(f'{CONSUMER} [data-part="status"]', "down", 30)
            shown_after.append(time.monotonic() - stopped)
        finally:
            stack.pm2("start", "billing-consumer")
        page.wait_for(f'{CONSUMER} [data-part="status"]', "ready", 60)
        if shown_after[-1] <= 3:
            break
    logger.info("shown so many seconds after the stop: %s", shown_after)
    assert min(shown_after) <= 3


def test_the_waiting_messages_of_a_stopped_consumer_are_shown(page: Page, stack: Stack) -> None:
    page.listen("#announcements")
    stack.pm2("stop", "billing-consumer")
    try:
        page.wait_for(f'{CONSUMER} [data-part="status"]', "down", 30)
        post_bill(stack, "usr_waiting")
        # more than one if it was confirmed late: it then comes by the outbox, too
        wait_until(lambda: page.text(READY) == depth(stack) != "0", 20, "what waits to be shown")
        page.wait_for("#summary", "Down: billing-consumer")
        wait_until(lambda: IS_DOWN.search(page.text("#changes")) is not None, 20, "the change")
        wait_until(lambda: IS_DOWN.search(page.said()) is not None, 20, "its announcement")
        mend = page.find(f"{CONSUMER} .wanted")
        assert mend.get_attribute("data-command") == "./stack pm2 start billing-consumer"
    finally:
        stack.pm2("start", "billing-consumer")
    page.wait_for("#bills", "usr_waiting")
    page.wait_for(f'{BILLS} [data-part="ready"]', "0")
    page.wait_for("#summary", "Everything is up", 60)


def test_without_rabbitmq_it_lives_on_and_says_what_is_unknown(page: Page, stack: Stack) -> None:
    with stopped(stack.rabbitmq):
        page.wait_for(f'{BROKER} [data-part="status"]', "down")
        page.wait_for(f'{BILLS} [data-part="ready"]', "unknown")
        post_bill(stack)
        page.wait_for('#outboxes [data-key$=" gateway-relay"] [data-part="backlog"]', "1")
    page.wait_for(f'{BILLS} [data-part="ready"]', "0", 60)
    page.wait_for("#summary", "Everything is up", 60)


def test_without_the_gateway_it_shows_the_age_of_its_data(page: Page, stack: Stack) -> None:
    stack.pm2("stop", "gateway")
    try:
        page.wait_for("#away", "The gateway does not answer.")
        page.wait_for("#away", "What you see is")
        assert page.find("#away").is_displayed()
        mend = page.find("#away-drill .wanted")
        assert mend.get_attribute("data-command") == "./stack pm2 start gateway"
    finally:
        stack.pm2("start", "gateway")
    page.wait_for("#changes", "The gateway answers again", 60)
    # the page may ask the gateway's other worker next, which starts a bit later
    wait_until(lambda: not page.find("#away").is_displayed(), 20, "the page to be current")


def test_user_input_is_shown_as_text(page: Page, stack: Stack) -> None:
    post_bill(stack, MARKUP)
    page.wait_for("#bills", MARKUP)
    assert page.driver.execute_script("return document.images.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1280])
def test_nothing_is_wider_than_the_window(page: Page, width: int, scheme: str) -> None:
    chromium.look(page.driver, width, 800, scheme)
    assert page.overflow() <= 0


def test_dark_mode_is_dark(page: Page) -> None:
    script = "return getComputedStyle(document.body).backgroundColor"
    light = page.driver.execute_script(script)
    chromium.look(page.driver, 1280, 1000, "dark")
    assert page.driver.execute_script(script) != light


def test_a_command_is_copied_by_keyboard_alone(page: Page) -> None:
    focused = page.driver.switch_to.active_element
    for _ in range(20):
        focused.send_keys(Keys.TAB)
        focused = page.driver.switch_to.active_element
        if focused.get_attribute("data-command"):
            break
    command = focused.get_attribute("data-command")
    assert command
    assert command in (focused.get_attribute("aria-label") or "")
    assert page.text("#console-command") == command
    focused.send_keys(Keys.ENTER)
    page.wait_for("#console-result", "Copied.")


def test_nothing_is_loaded_from_elsewhere(page: Page, stack: Stack) -> None:
    loaded = page.loaded()
    assert loaded
    assert [name for name in loaded if not name.startswith(f"{stack.url}/")] == []


def test_a_hidden_page_sends_no_requests(page: Page, stack: Stack) -> None:
    hide(page, True)
    # what was on its way is given up
    let_pass(stack, 1)
    asked = len(page.loaded())
    let_pass(stack, 3)
    assert len(page.loaded()) == asked
    hide(page, False)
    wait_until(lambda: len(page.loaded()) > asked, 20, "the page to ask again")


def hide(page: Page, hidden: bool) -> None:
    """Have the page believe that its tab is hidden, or is not."""
    property_of_document = "{value: arguments[0], configurable: true}"
    page.driver.execute_script(
        f"Object.defineProperty(document, 'hidden', {property_of_document});"
        "document.dispatchEvent(new Event('visibilitychange'))",
        hidden,
    )


def let_pass(stack: Stack, seconds: float) -> None:
    """Wait until so much time has passed by the clock of the gateway's looks."""
    end = looked_at(stack) + timedelta(seconds=seconds)
    wait_until(lambda: looked_at(stack) > end, 30, f"{seconds} s to pass")


def looked_at(stack: Stack) -> datetime:
    """When the gateway has looked last."""
    answer = requests.get(f"{stack.url}/api/status", timeout=20)
    return datetime.fromisoformat(answer.json()["at"].replace("Z", "+00:00"))
