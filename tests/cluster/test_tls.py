"""The highly available installation with TLS, by a certificate of the Job."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from ..agents.counting import figures_of
from ..agents.load import Load
from .running import Release

pytestmark = pytest.mark.kubernetes

TLS = {"tls": {"source": "job"}}


@pytest.fixture(scope="module")
def release(new_release: Callable[[str], Release]) -> Release:
    release = new_release("sentinel")
    release.upgrade(TLS)
    return release


def test_it_works_and_speaks_nothing_but_tls(release: Release) -> None:
    release.wait_well()
    release.helm("test", "auth", "--timeout", "5m")
    told = release.namespace.call(
        *("exec", f"{release.primary()}", "--", "valkey-cli", "-p", "6379", "PING")
    )
    assert "PONG" not in told.stdout


def test_tls_is_not_switched_off_while_the_servers_run(release: Release) -> None:
    with pytest.raises(AssertionError, match="TLS cannot be switched on or off"):
        release.upgrade({}, wait=False)


def test_another_certificate_under_load(release: Release, figure: Callable[[str], None]) -> None:
    release.wait_well()
    before = release.namespace.get("secret", "auth-guarita-tls")["data"]["tls.crt"]
    with release.reached() as port:
        load = Load(port, rate=100, api_key=release.api_key)
        load.start()
        try:
            assert load.wait_steady(120)
            release.upgrade({"tls": {"source": "job", "renewal": "another"}})
            release.wait_rolled()
            release.wait_well()
            assert load.wait_steady(120, since_s=time.monotonic())
            load.stop()
            found = figures_of(load.history())
        finally:
            load.close()
    after = release.namespace.get("secret", "auth-guarita-tls")["data"]["tls.crt"]
    assert after != before
    figure(
        f"chart, another certificate, 100 requests a second: {found.requests} requests, "
        f"{found.failed} failed, {found.lost} lost, "
        f"{found.pause_s:.1f} s without a successful write"
    )
    assert (found.failed, found.lost, found.double, found.wrong) == (0, 0, 0, 0), found
