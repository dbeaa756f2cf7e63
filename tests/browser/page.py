"""What the tests see of a page: its texts, its errors, what it has loaded."""

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tools.stack.waiting import wait_until


class Page:
    """A page that is open in a browser."""

    def __init__(self, driver: Chrome, address: str) -> None:
        self.driver = driver
        self.errors()
        driver.get(address)

    def find(self, selector: str) -> WebElement:
        """The first element that a CSS selector finds."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """What stands in the first such element, hidden text included; nothing if there is none."""
        script = "return document.querySelector(arguments[0])?.textContent ?? ''"
        return str(self.driver.execute_script(script, selector))

    def wait_for(self, selector: str, text: str, seconds: float = 20) -> None:
        """Wait until `text` stands in what `selector` finds."""
        what = f"{text!r} to stand in {selector}"
        wait_until(lambda: text in self.text(selector), seconds, what)

    def listen(self, selector: str) -> None:
        """Keep what is said from now on in what `selector` finds."""
        script = """
            window.said = [];
            const keep = (changes) => changes.forEach((change) =>
              change.addedNodes.forEach((node) => window.said.push(node.textContent)));
            const said = document.querySelector(arguments[0]);
            new MutationObserver(keep).observe(said, { childList: true });
        """
        self.driver.execute_script(script, selector)

    def said(self) -> str:
        """All that was said there since, though it was replaced by now; a line each."""
        return str(self.driver.execute_script("return window.said.join('\\n')"))

    def click(self, selector: str, seconds: float = 20) -> None:
        """Wait until there is such an element, then click on it."""
        script = "return document.querySelector(arguments[0]) !== null"
        wait_until(lambda: self.driver.execute_script(script, selector), seconds, selector)
        # by script, since the page may move it just then
        self.driver.execute_script("document.querySelector(arguments[0]).click()", selector)

    def errors(self) -> list[str]:
        """What the console has got since the last call, information aside."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def loaded(self) -> list[str]:
        """The addresses of all that the page has asked for."""
        script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        return [str(name) for name in self.driver.execute_script(script)]

    def overflow(self) -> int:
        """By how many pixels the content is wider than the window."""
        element = "document.documentElement"
        found = self.driver.execute_script(f"return {element}.scrollWidth - {element}.clientWidth")
        return int(found)
