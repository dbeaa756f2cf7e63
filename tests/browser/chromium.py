"""The distribution's own Chromium and its driver, without a window; nothing is downloaded."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

PROGRAM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new",
    # root has no other way
    "--no-sandbox",
    # containers have little /dev/shm
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def is_installed() -> bool:
    """Whether both are there."""
    return PROGRAM.exists() and DRIVER.exists()


@contextmanager
def browser() -> Iterator[Chrome]:
    """A browser with a profile of its own, which is new, and removed afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = str(PROGRAM)
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = Chrome(options, Service(str(DRIVER)))
        try:
            yield driver
        finally:
            driver.quit()


def look(driver: Chrome, width: int, height: int, scheme: str = "light") -> None:
    """Set the window's size in pixels, and which colours the user prefers: light or dark."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
