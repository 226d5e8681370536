"""What a visitor sees: the host page, and the frame in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

T = TypeVar("T")
TIMEOUT_S = 45


def wait_for(driver: Chrome, condition: Callable[[], T], *, what: str) -> T:
    """Poll until the condition holds; a page that is just being replaced counts as not yet."""
    waiting = WebDriverWait(
        driver, TIMEOUT_S, poll_frequency=0.05, ignored_exceptions=[WebDriverException]
    )
    return waiting.until(lambda _: condition(), message=f"not seen: {what}")


class HostPage:
    """The demo host's page in a browser."""

    def __init__(self, driver: Chrome, origin: str) -> None:
        self.driver = driver
        self.origin = origin

    def open(self, fragment: str = "") -> None:
        self.driver.get(f"{self.origin}/{fragment}")

    def click(self, selector: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def wait_for_place(self, state: str) -> None:
        """`asking`, `held`, `frame`, `unavailable` or `refused`."""
        place = self.driver.find_element(By.ID, "place")
        wait_for(
            self.driver,
            lambda: place.get_attribute("data-state") == state,
            what=f"host page in state {state}",
        )

    def wait_for_step(self, text: str) -> None:
        """A line in the page's list of what happened."""
        steps = self.driver.find_element(By.ID, "steps")
        wait_for(self.driver, lambda: text in steps.text, what=f"step {text}")

    def steps(self) -> list[str]:
        items = self.driver.find_elements(By.CSS_SELECTOR, "#steps li")
        return [each.text for each in items]

    @contextmanager
    def in_frame(self) -> Iterator[None]:
        self.driver.switch_to.frame(self.driver.find_element(By.CSS_SELECTOR, "#place iframe"))
        try:
            yield
        finally:
            self.driver.switch_to.default_content()

    def ask_frame(self, script: str) -> Any:
        """Run a script in the frame."""
        with self.in_frame():
            return self.driver.execute_script(script)

    def frame_state(self) -> str | None:
        return self.ask_frame("return document.documentElement.dataset.state")

    def wait_for_frame(self, state: str) -> str:
        """Wait for `waiting`, `signed-in` or `refused`; returns the frame's text."""
        wait_for(self.driver, lambda: self.frame_state() == state, what=f"frame in state {state}")
        return self.ask_frame("return document.body.innerText")

    def held_in(self) -> str:
        """How the frame holds its session: `cookie` or `memory`."""
        return self.ask_frame("return document.documentElement.dataset.held")

    def reload_frame(self) -> None:
        """Reload the frame alone and wait until it is another document."""
        self.ask_frame("window.before = true; location.reload()")
        wait_for(
            self.driver,
            lambda: self.ask_frame(
                "return !window.before && document.documentElement.dataset.state !== undefined"
            ),
            what="frame reloaded",
        )
