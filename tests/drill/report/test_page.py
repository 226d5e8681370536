"""The page says what was found, needs nothing from elsewhere, and fits the paper or screen."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from drill.making import many
from guarita.drill.check import check
from guarita.drill.history import Event, EventKind, History
from guarita.drill.lines import read
from guarita.drill.report import page

from browser.chromium import chromium, missing

HISTORIES = Path(__file__).parents[1] / "histories"
FILES = sorted(HISTORIES.glob("*.jsonl"))
VALID = HISTORIES / "valid.jsonl"
TWICE = HISTORIES / "invalid-admitted-twice.jsonl"
VOID_TAGS = {"meta", "path", "rect", "br"}

Show = Callable[[History], Chrome]


def page_of(history: History) -> str:
    return page(history, check(history))


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID_TAGS:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def text_of(html: str) -> str:
    parser = _Balance()
    parser.feed(html)
    assert parser.open == []
    return parser.text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_page_needs_nothing_from_elsewhere(path: Path) -> None:
    html = page_of(read(path))
    assert text_of(html)
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", html)


def test_what_is_told_is_text_and_no_markup() -> None:
    history = read(VALID)
    evil = "<script>alert(1)</script>&\"'"
    header = replace(history.header, title=evil, machine=evil, command=evil, versions={evil: evil})
    events = (*history.events, Event(1, EventKind.NOTE, evil, evil))
    html = page_of(replace(history, header=header, events=events))
    assert "<script" not in html
    assert evil in text_of(html)


def test_a_drill_of_which_nothing_is_known_has_a_page() -> None:
    history = History(read(VALID).header, ())
    assert "It cannot be told" in text_of(page_of(history))


def test_a_missed_bound_is_on_the_page() -> None:
    history = read(VALID)
    header = replace(history.header, pause_at_most_s=0.1)
    text = text_of(page_of(replace(history, header=header)))
    assert "a bound was missed" in text
    assert "without a successful write, at most 0.1 s" in text


def test_many_anomalies_of_a_kind_are_counted_and_some_shown() -> None:
    history = read(VALID)
    operations = []
    for number in range(30):
        for each in read(TWICE).operations:
            if each.ticket is not None:
                id = each.id + 1000 * number
                operations.append(replace(each, id=id, ticket=f"{each.ticket}-{number}"))
    text = text_of(page_of(replace(history, operations=tuple(operations))))
    assert "Admitted twice: 30" in text
    assert "and 10 more of this kind" in text


def test_a_hundred_faults_are_all_there_and_the_page_stays_small() -> None:
    html = page_of(many(100))
    text = text_of(html)
    assert "All 100 faults" in text
    assert "the pause at each fault" in text
    assert html.count('<rect class="fill-fault"') == 3 * 100  # behind each of the three plots
    assert len(html) < 150_000


def test_answers_are_drawn_to_the_scale_of_the_load_and_not_of_the_last_look() -> None:
    html = page_of(many(20))
    assert '<span class="scale" style="top:.25rem">15</span>' in html  # ten writes a second
    tops = re.findall(r'<rect class="fill-\w+" x="[\d.]+" y="(-?[\d.]+)"', html)
    assert min(map(float, tops)) >= 0


# In a real browser.


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Show]:
    if reason := missing():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("report")
    with chromium(directory / "profile") as driver:

        def load(history: History) -> Chrome:
            path = directory / "report.html"
            path.write_text(page_of(history), "utf-8")
            prefer(driver, "light")
            resize(driver, 1400)
            driver.get(path.as_uri())
            return driver

        yield load


def resize(driver: Chrome, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(driver: Chrome, scheme: str, media: str = "") -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


# Elements that stick out of the page, and are in no box that scrolls.
STICKS_OUT = """
return [...document.querySelectorAll('main *')].filter(e =>
  !e.closest('.wide') && !e.closest('.track') &&
  (e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 ||
   e.getBoundingClientRect().left < -1)).map(e => e.outerHTML.slice(0, 80));
"""

# The least contrast of a text with what is behind it (WCAG 2.2, 1.4.3 wants 4.5).
CONTRAST = """
const rgb = text => text.match(/[\\d.]+/g).map(Number);
const light = c => { const [r, g, b] = c.slice(0, 3).map(v => {
  v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = e => { for (; e; e = e.parentElement) {
  const c = getComputedStyle(e).backgroundColor;
  if (c.startsWith('rgb') && (rgb(c).length < 4 || rgb(c)[3] === 1)) return rgb(c); }
  return [255, 255, 255]; };
let least = [99, ''];
for (const e of document.querySelectorAll('main *')) {
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
  const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < least[0]) least = [ratio, e.outerHTML.slice(0, 90)];
}
return least;
"""


def run(driver: Chrome, script: str) -> Any:
    return driver.execute_script(script)  # type: ignore[no-untyped-call]


@pytest.mark.browser
@pytest.mark.parametrize("path", [VALID, TWICE], ids=lambda path: path.stem)
def test_it_fits_a_phone_and_a_desk(show: Show, path: Path) -> None:
    driver = show(read(path))
    for width in (390, 1400):
        resize(driver, width)
        assert run(driver, "return document.documentElement.scrollWidth") == width
        assert run(driver, STICKS_OUT) == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(show: Show, scheme: str) -> None:
    driver = show(read(TWICE))
    prefer(driver, scheme)
    ratio, where = run(driver, CONTRAST)
    assert ratio >= 4.5, where


@pytest.mark.browser
def test_paper_is_white_whatever_the_screen_is(show: Show) -> None:
    driver = show(read(TWICE))
    prefer(driver, "dark", "print")
    ratio, where = run(driver, CONTRAST)
    assert ratio >= 4.5, where
    colour = run(driver, "return getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(255, 255, 255)"
    printed = driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")


@pytest.mark.browser
def test_the_fault_lies_where_it_was(show: Show) -> None:
    history = read(VALID)
    driver = show(history)
    spans = check(history).spans
    assert spans.fault_us is not None
    places = run(
        driver,
        """
        const box = e => e.getBoundingClientRect();
        const plot = box(document.querySelector('.plot'));
        const share = e => (box(e).left - plot.left) / plot.width;
        return [share(document.querySelector('.plot .fill-fault')),
                (box(document.querySelector('.marks .fault')).left
                 + box(document.querySelector('.marks .fault')).width / 2 - plot.left)
                / plot.width];
        """,
    )
    assert places == pytest.approx([spans.fault_us / spans.end_us] * 2, abs=0.002)


@pytest.mark.browser
def test_the_browser_has_nothing_to_complain_of(show: Show) -> None:
    driver = show(read(TWICE))
    assert driver.get_log("browser") == []  # type: ignore[no-untyped-call]
