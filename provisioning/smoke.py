"""Wait until each URL answers 200; exit status 1, saying which does not, after a minute.

    python3 provisioning/smoke.py URL...

Uses the standard library alone, as it runs by the system's Python.
"""

import sys
import time
from urllib.request import ProxyHandler, build_opener

SECONDS = 60.0


def failure(url: str) -> str:
    """What is wrong with the answer of `url`; empty if nothing is."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=10):
            return ""
    except OSError as error:
        return str(error)


def wait(url: str, deadline: float) -> str:
    """Ask `url` until it answers or `deadline` (monotonic) is over; what is wrong then, if any."""
    while (wrong := failure(url)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return wrong


if __name__ == "__main__":
    end = time.monotonic() + SECONDS
    faults = {url: wrong for url in sys.argv[1:] if (wrong := wait(url, end))}
    for url, wrong in faults.items():
        sys.stderr.write(f"{url}: {wrong}\n")
    sys.exit(1 if faults else 0)
