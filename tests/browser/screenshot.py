"""Takes a picture of a page: `python -m tests.browser.screenshot ADDRESS FILE`."""

import argparse
import struct
import time
import zlib
from pathlib import Path

from local.waiting import wait_until
from tests.browser import chromium
from tests.browser.page import Page


def take(address: str, file: Path, width: int, scheme: str, seconds: float) -> None:
    """Look at the page for some seconds, then take it in all its height."""
    with chromium.browser() as driver:
        chromium.look(driver, width, 1000, scheme)
        page = Page(driver, address)
        wait_until(lambda: "Asking" not in page.text("#summary"), 20, "the page to show something")
        time.sleep(seconds)
        height = driver.execute_script("return document.documentElement.scrollHeight")
        chromium.look(driver, width, height, scheme)
        file.write_bytes(packed(driver.get_screenshot_as_png()))


def packed(png: bytes) -> bytes:
    """The same picture, compressed as well as can be (a browser hurries; RFC 2083, section 3.2)."""
    place, kept, pixels = 8, [], b""
    while place < len(png):
        end = place + 12 + int(struct.unpack_from(">I", png, place)[0])
        kind, data = png[place + 4 : place + 8], png[place + 8 : end - 4]
        if kind == b"IDAT":
            pixels += data
        else:
            kept.append((kind, data))
        place = end
    kept.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(pixels), 9)))
    return png[:8] + b"".join(_chunk(kind, data) for kind, data in kept)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


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
