"""Takes a picture of a page: `python -m tests.browser.screenshot ADDRESS FILE [WIDTH] [SCHEME]`."""

import argparse
from pathlib import Path

from local.waiting import wait_until
from tests.browser import chromium
from tests.browser.page import Page


def take(address: str, file: Path, width: int, scheme: str) -> None:
    """Wait until the page shows what is true now, then take it in all its height."""
    with chromium.browser() as driver:
        chromium.look(driver, width, 1000, scheme)
        page = Page(driver, address)
        wait_until(lambda: "Asking" not in page.text("#summary"), 20, "the page to show something")
        height = driver.execute_script("return document.documentElement.scrollHeight")
        chromium.look(driver, width, height, scheme)
        driver.save_screenshot(str(file))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("file", type=Path)
    parser.add_argument("width", type=int, nargs="?", default=1280)
    parser.add_argument("scheme", choices=["light", "dark"], nargs="?", default="light")
    arguments = parser.parse_args()
    take(arguments.address, arguments.file, arguments.width, arguments.scheme)


if __name__ == "__main__":
    main()
