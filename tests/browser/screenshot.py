"""Takes a picture of a page: `python -m tests.browser.screenshot ADDRESS FILE`."""

import argparse
import time
from pathlib import Path

from tests.browser import chromium
from tests.browser.page import Page
from tools.stack.waiting import wait_until


def take(address: str, file: Path, width: int, scheme: str, seconds: float) -> None:
    """Look at the page for some seconds, then take it in all its height."""
    with chromium.browser() as driver:
        chromium.look(driver, width, 1000, scheme)
        page = Page(driver, address)
        wait_until(lambda: "Asking" not in page.text("#summary"), 20, "the page to show something")
        time.sleep(seconds)
        height = driver.execute_script("return document.documentElement.scrollHeight")
        chromium.look(driver, width, height, scheme)
        driver.save_screenshot(str(file))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("file", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    parser.add_argument("--seconds", type=float, default=0)
    take(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
