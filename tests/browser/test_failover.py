"""The main job: a visitor gets in while the primary dies between create and redeem."""

from __future__ import annotations

from pathlib import Path

import pytest

from guarita.errors import ServerMissing
from guarita.servers import find_server
from guarita.topology.local import LocalSentinel

from browser.chromium import Cookies, chromium
from browser.pages import HostPage
from browser.proxy import Proxy
from browser.running import get_json, running_host, running_service

pytestmark = pytest.mark.browser

# Longer than the visitor's frame takes to appear, so that there is a pause to be seen.
DOWN_AFTER_MS = 4000


@pytest.fixture
def store(tmp_path: Path) -> LocalSentinel:
    try:
        find_server(None)
    except ServerMissing as exc:
        pytest.skip(str(exc))
    return LocalSentinel(tmp_path / "store", down_after_ms=DOWN_AFTER_MS)


def sentinel_settings(store: LocalSentinel) -> dict[str, object]:
    nodes = [f"{each.host}:{each.port}" for each in store.sentinels]
    return {"topology": "sentinel", "sentinel": {"nodes": nodes}}


@pytest.mark.parametrize("cookies", [Cookies.ALL, Cookies.NO_THIRD_PARTY])
def test_the_visitor_sees_a_pause_and_then_the_content(
    store: LocalSentinel, tmp_path: Path, cookies: Cookies
) -> None:
    with (
        store,
        running_service(tmp_path, sentinel_settings(store)) as port,
        Proxy(port).serving() as proxy,
        running_host(tmp_path, proxy.url) as origin,
        chromium(tmp_path / "profile", cookies=cookies) as driver,
    ):
        page = HostPage(driver, origin)
        page.open("#hold")
        page.wait_for_place("held")
        dead = store.kill_primary()
        page.click("[data-do=open]")
        assert "still trying…" in page.wait_for_frame("waiting")
        assert "Hello, Ana Souza!" in page.wait_for_frame("signed-in")
        assert page.held_in() == "cookie"

        assert store.primary() != dead
        redeems = proxy.asked("/auth/redeem")
        assert len({each.body["attempt"] for each in redeems}) == 1
        assert len(proxy.asked("/client/iframe.html")) == 1
        status = get_json(port, "/auth/session-status")
        assert (status["total_created"], status["total_used"]) == (1, 1)
        assert status["storage"] == "redis"
        assert not any("refused" in step for step in page.steps())
