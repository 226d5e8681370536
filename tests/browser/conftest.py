"""One service on the memory store, a proxy before it and a demo host, for all browser tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from browser.chromium import chromium, missing
from browser.pages import HostPage
from browser.proxy import Proxy
from browser.running import running_host, running_service

OpenPage = Callable[..., HostPage]


@pytest.fixture(autouse=True)
def _browser() -> None:
    if reason := missing():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def service_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if reason := missing():
        pytest.skip(reason)
    with running_service(tmp_path_factory.mktemp("service"), {"topology": "memory"}) as port:
        yield port


@pytest.fixture(scope="session")
def shared_proxy(service_port: int) -> Iterator[Proxy]:
    with Proxy(service_port).serving() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def host_origin(shared_proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_host(tmp_path_factory.mktemp("host"), shared_proxy.url) as origin:
        yield origin


@pytest.fixture
def proxy(shared_proxy: Proxy) -> Proxy:
    """The way to the service, without trouble and with nothing seen yet."""
    shared_proxy.troubles.clear()
    shared_proxy.seen.clear()
    return shared_proxy


@pytest.fixture
def browse(host_origin: str, proxy: Proxy, tmp_path: Path) -> Iterator[OpenPage]:
    """Starts a browser with a new profile; the options are those of `chromium`."""
    with ExitStack() as browsers:

        def start(**options: Any) -> HostPage:
            driver = browsers.enter_context(chromium(tmp_path / "profile", **options))
            return HostPage(driver, host_origin)

        yield start
