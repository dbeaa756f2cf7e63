"""The pictures of the benchmark in a browser: on a phone, in light and in dark mode."""

from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.browser import chromium
from tests.support.bench_examples import LINES, ROW
from tools.bench.figures import at_most
from tools.bench.pictures import Picture, pictures
from tools.bench.scenarios import reads

# as wide as any text that a scenario has
LONGEST = at_most(2.2, f"CPU of inventory-api a read : {reads.PLAIN.lower()}, bare", 1, 1)
PICTURES = pictures(replace(ROW, ratios=[*ROW.ratios, LONGEST], plots=[LINES]), "performance")
BACKGROUND = "return getComputedStyle(document.querySelector('rect')).fill"
# the pixels by which the widest text leaves the picture, or less than 0
OUTSIDE = """
return Math.max(...[...document.querySelectorAll('text')].map(
    text => text.getBBox().x + text.getBBox().width - 400))
"""


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.link)
def test_a_picture_fits_a_phone_and_follows_the_colour_scheme(
    driver: Chrome, tmp_path: Path, picture: Picture
) -> None:
    file = tmp_path / "page.html"
    file.write_text(f"<style>svg {{ max-width: 100%; height: auto }}</style>{picture.svg}")
    backgrounds = set()
    for scheme in ("light", "dark"):
        chromium.look(driver, 360, 800, scheme)
        driver.get(file.as_uri())
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
        assert driver.execute_script(OUTSIDE) < 0
        backgrounds.add(driver.execute_script(BACKGROUND))
    assert len(backgrounds) == 2
