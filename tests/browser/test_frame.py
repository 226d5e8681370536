"""The frame in a real browser, on another site than the page around it."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from browser.chromium import Cookies
from browser.conftest import OpenPage
from browser.pages import HostPage, wait_for
from browser.proxy import Proxy, Trouble
from browser.running import get_json

pytestmark = pytest.mark.browser

COLLECT_MESSAGES = "window.heard = []; addEventListener('message', (e) => heard.push(e.data))"


def used(service_port: int) -> int:
    """How many tickets were ever redeemed."""
    return int(get_json(service_port, "/auth/session-status")["total_used"])


@pytest.mark.parametrize(
    ("cookies", "held_in"),
    [(Cookies.ALL, "cookie"), (Cookies.NO_THIRD_PARTY, "cookie"), (Cookies.NONE, "memory")],
)
def test_a_visitor_is_signed_in_whatever_cookies_the_browser_keeps(
    browse: OpenPage, proxy: Proxy, service_port: int, cookies: Cookies, held_in: str
) -> None:
    used_before = used(service_port)
    page = browse(cookies=cookies)
    page.open()
    text = page.wait_for_frame("signed-in")
    assert "Ana Souza" in text
    assert "Hello, Ana Souza!" in text
    assert page.held_in() == held_in
    assert len(proxy.asked("/auth/redeem")) == 1
    assert used(service_port) == used_before + 1


@pytest.mark.parametrize("cookies", [Cookies.ALL, Cookies.NONE])
def test_ticket_and_token_are_nowhere_that_another_script_could_look(
    browse: OpenPage, cookies: Cookies
) -> None:
    page = browse(cookies=cookies)
    page.open()
    page.wait_for_frame("signed-in")
    assert page.ask_frame("return location.pathname + location.search + location.hash") == (
        "/client/iframe.html"
    )
    stored = page.ask_frame(
        "const size = (name) => { try { return window[name].length } catch { return 0 } };"
        "return [size('localStorage'), size('sessionStorage'), JSON.stringify(history.state)]"
    )
    assert stored == [0, 0, "null"]
    if cookies is Cookies.ALL:  # otherwise reading it is an error of its own
        assert page.ask_frame("return document.cookie") == ""


def test_the_cookie_is_a_partitioned_host_cookie(browse: OpenPage) -> None:
    page = browse()
    page.open()
    page.wait_for_frame("signed-in")
    cookies = page.driver.execute_cdp_cmd("Storage.getCookies", {})["cookies"]
    [cookie] = [each for each in cookies if each["name"] == "__Host-guarita"]
    assert cookie["httpOnly"]
    assert cookie["secure"]
    assert cookie["sameSite"] == "None"
    assert cookie["path"] == "/"
    assert cookie["partitionKey"]["topLevelSite"] == "http://127.0.0.1"


def test_a_used_ticket_is_refused_in_words_and_not_tried_again(
    browse: OpenPage, proxy: Proxy, service_port: int
) -> None:
    page = browse()
    page.open()
    page.wait_for_frame("signed-in")
    used_before = used(service_port)
    page.driver.execute_script(
        "const again = document.querySelector('#place iframe').cloneNode();"
        "document.querySelector('#place').replaceChildren(again)"
    )
    assert "This link is no longer valid" in page.wait_for_frame("refused")
    page.wait_for_step("guarita:refused (used)")
    assert len(proxy.asked("/auth/redeem")) == 2
    assert used(service_port) == used_before


def test_the_visitor_reads_his_own_language(browse: OpenPage) -> None:
    page = browse(language="pt-BR")
    page.open()
    text = page.wait_for_frame("signed-in")
    assert "Você entrou como" in text
    assert "Olá, Ana Souza!" in text
    assert page.ask_frame("return document.documentElement.lang") == "pt-BR"
    assert "Acme Livros" in page.driver.title


def test_a_page_of_another_origin_cannot_frame_it(browse: OpenPage, proxy: Proxy) -> None:
    page = browse()
    page.open("#hold")
    page.wait_for_place("held")
    ticket = page.driver.execute_script(
        "return fetch('/ticket', {method: 'POST',"
        " headers: {'Content-Type': 'application/json'},"
        " body: JSON.stringify({subject: 'Eve', key: '0123456789abcdef-of-a-thief'})})"
        ".then((answer) => answer.json())"
    )
    page.driver.get(f"{proxy.url}/openapi.json")  # any page that is not the host's
    page.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    page.driver.get(f"{proxy.url}/openapi.json")
    page.driver.execute_script(
        "const frame = document.createElement('iframe'); frame.src = arguments[0];"
        "document.body.append(frame)",
        ticket["frame_url"],
    )
    refusals = wait_for(
        page.driver,
        lambda: [
            each["message"]
            for each in page.driver.get_log("browser")
            if "frame-ancestors" in each["message"]
        ],
        what="the browser's refusal to show the frame",
    )
    assert page.origin in refusals[0]
    assert proxy.asked("/auth/redeem") == []


def test_a_503_is_waited_out_visibly_with_the_same_attempt_and_without_a_reload(
    browse: OpenPage, proxy: Proxy, service_port: int
) -> None:
    used_before = used(service_port)
    page = browse()
    proxy.troubles["/auth/redeem"] = Trouble.BUSY
    page.open()
    assert "still trying…" in page.wait_for_frame("waiting")
    page.wait_for_step("guarita:waiting")
    wait_for(page.driver, lambda: len(proxy.asked("/auth/redeem")) > 1, what="another try")
    del proxy.troubles["/auth/redeem"]
    assert "Ana Souza" in page.wait_for_frame("signed-in")
    assert len({each.body["attempt"] for each in proxy.asked("/auth/redeem")}) == 1
    assert len(proxy.asked("/client/iframe.html")) == 1
    assert used(service_port) == used_before + 1


def test_a_lost_reply_costs_the_visitor_nothing(
    browse: OpenPage, proxy: Proxy, service_port: int
) -> None:
    used_before = used(service_port)
    page = browse()
    proxy.troubles["/auth/redeem"] = Trouble.LOST_REPLY
    page.open()
    page.wait_for_frame("waiting")
    assert used(service_port) == used_before + 1
    del proxy.troubles["/auth/redeem"]
    page.wait_for_frame("signed-in")
    assert used(service_port) == used_before + 1
    assert len({each.body["attempt"] for each in proxy.asked("/auth/redeem")}) == 1


@pytest.mark.parametrize("path", ["/auth/verify", "/demo/content"])
def test_trouble_after_the_redeem_is_waited_out_too(
    browse: OpenPage, proxy: Proxy, path: str
) -> None:
    page = browse()
    proxy.troubles[path] = Trouble.BUSY
    page.open()
    page.wait_for_frame("waiting")
    del proxy.troubles[path]
    assert "Hello, Ana Souza!" in page.wait_for_frame("signed-in")
    assert len(proxy.asked("/auth/redeem")) == 1


def test_a_frame_that_holds_a_cookie_survives_its_reload(browse: OpenPage, proxy: Proxy) -> None:
    page = browse()
    page.open()
    page.wait_for_frame("signed-in")
    page.reload_frame()
    assert "Hello, Ana Souza!" in page.wait_for_frame("signed-in")
    assert len(proxy.asked("/auth/redeem")) == 1


def test_a_frame_without_cookies_says_after_a_reload_that_it_needs_a_new_ticket(
    browse: OpenPage, proxy: Proxy
) -> None:
    page = browse(cookies=Cookies.NONE)
    page.open()
    page.wait_for_frame("signed-in")
    page.reload_frame()
    assert "A fresh link is needed" in page.wait_for_frame("refused")
    page.wait_for_step("guarita:refused (no-ticket)")
    assert len(proxy.asked("/auth/redeem")) == 1


def test_a_fresh_ticket_signs_in_whom_the_host_names(browse: OpenPage) -> None:
    page = browse()
    page.open()
    page.wait_for_frame("signed-in")
    field = page.driver.find_element(By.ID, "subject")
    field.clear()
    field.send_keys("<b>João & Zoë</b>")
    page.click("#sign-in button")
    wait_for(
        page.driver,
        lambda: page.frame_state() == "signed-in" and "Zoë" in _text(page),
        what="the second visitor",
    )
    assert "<b>João & Zoë</b>" in _text(page)


def _text(page: HostPage) -> str:
    return str(page.ask_frame("return document.body.innerText"))


def test_a_script_that_runs_twice_redeems_once(browse: OpenPage, proxy: Proxy) -> None:
    page = browse()
    proxy.troubles["/client/iframe.html"] = Trouble.SCRIPT_TWICE
    page.open()
    page.wait_for_frame("signed-in")
    assert page.ask_frame("return document.scripts.length") == 2
    assert len(proxy.asked("/auth/redeem")) == 1
    assert sum("guarita:ready" in step for step in page.steps()) == 1


def test_the_frame_answers_its_own_parent_and_nobody_else(browse: OpenPage, proxy: Proxy) -> None:
    page = browse()
    page.open()
    page.wait_for_frame("signed-in")
    driver = page.driver
    driver.execute_script(COLLECT_MESSAGES)
    page.ask_frame("postMessage({type: 'guarita:ask-state', version: 1}, location.origin)")
    driver.execute_script("document.body.append(document.createElement('iframe'))")
    driver.switch_to.frame(1)  # of the parent's origin, and yet not the parent
    ask = "frames[0].postMessage({type: 'guarita:ask-state', version: 1}, arguments[0])"
    driver.execute_script(f"parent.{ask}", proxy.url)
    driver.switch_to.default_content()
    for message in ("'guarita:ask-state'", "null", "{type: 'guarita:ask-state', version: 2}"):
        driver.execute_script(f"frames[0].postMessage({message}, arguments[0])", proxy.url)
    driver.execute_script(ask, proxy.url)
    heard = wait_for(driver, lambda: driver.execute_script("return heard"), what="an answer")
    # Messages keep their order: an answer to an earlier one would have come before.
    assert heard == [{"type": "guarita:signed-in", "version": 1}]


def test_a_service_that_cannot_be_reached_is_told_in_words_and_tried_again(
    browse: OpenPage, proxy: Proxy
) -> None:
    page = browse()
    proxy.troubles["/auth/create-session"] = Trouble.PATIENCE
    page.open()
    page.wait_for_place("unavailable")
    proxy.troubles.clear()
    page.click("[data-do=retry]")
    page.wait_for_frame("signed-in")
    assert len(proxy.asked("/auth/create-session")) == 2


@pytest.mark.parametrize("size", [(320, 640), (1280, 900)])
def test_nothing_is_wider_than_the_window(browse: OpenPage, size: tuple[int, int]) -> None:
    page = browse(size=size)
    width = {"width": 280, "height": 640, "deviceScaleFactor": 1, "mobile": False}
    if size[0] < 500:  # a window cannot be made that narrow, a page can
        page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", width)
    page.open()
    page.wait_for_frame("signed-in")
    overflow = "return document.documentElement.scrollWidth > innerWidth"
    assert not page.driver.execute_script(overflow)
    assert not page.ask_frame(overflow)


def test_neither_page_makes_the_browser_complain(browse: OpenPage) -> None:
    page = browse()
    page.open()
    page.wait_for_frame("signed-in")
    assert page.driver.get_log("browser") == []
    with page.in_frame():  # a frame of another site has a console of its own
        violations = page.driver.execute_async_script(
            "const seen = [], done = arguments[0];"
            "const note = (reports) => seen.push(...reports.map((each) => each.body.blockedURL));"
            "new ReportingObserver(note, {types: ['csp-violation'], buffered: true}).observe();"
            "const canary = new Image(); canary.src = 'https://canary.invalid/';"
            "const look = () => seen.some((url) => url.includes('canary')) ? done(seen) :"
            " setTimeout(look, 10); look()"
        )
    assert violations == ["https://canary.invalid/"]
