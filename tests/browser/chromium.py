"""A real Chromium without a window, driven by selenium, with the cookie rules a test wants."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Cookies(StrEnum):
    """What the browser keeps."""

    ALL = "all"
    NO_THIRD_PARTY = "no third-party"
    NONE = "none"


PREFERENCES: dict[Cookies, dict[str, object]] = {
    Cookies.ALL: {"profile.cookie_controls_mode": 0, "profile.block_third_party_cookies": False},
    Cookies.NO_THIRD_PARTY: {
        "profile.cookie_controls_mode": 1,
        "profile.block_third_party_cookies": True,
    },
    Cookies.NONE: {"profile.default_content_setting_values.cookies": 2},
}


def missing() -> str | None:
    """Why no browser can be driven here, in words; None when one can."""
    if not any(map(shutil.which, BROWSERS)):
        return "no Chromium or Chrome is installed (Debian: apt-get install chromium)"
    if shutil.which("chromedriver") is None:
        return "chromedriver is not installed (Debian: apt-get install chromium-driver)"
    return None


@contextmanager
def chromium(
    profile: Path,
    *,
    cookies: Cookies = Cookies.ALL,
    language: str = "en",
    size: tuple[int, int] = (1280, 900),
) -> Iterator[webdriver.Chrome]:
    """A browser with a new profile in `profile`; ended, with its driver, at the end."""
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--no-proxy-server",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--lang={language}",
        f"--window-size={size[0]},{size[1]}",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(flag)
    preferences = {"intl.accept_languages": language, **PREFERENCES[cookies]}
    options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.set_page_load_timeout(60)
        yield driver
    finally:
        driver.quit()
