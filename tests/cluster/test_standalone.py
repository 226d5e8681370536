"""One server, by ci/standalone: it works, and its tickets outlive its pod."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guarita.processes import wait_until

from .running import NAME, Release

pytestmark = pytest.mark.kubernetes


@pytest.fixture(scope="module")
def release(new_release: Callable[[str], Release]) -> Release:
    release = new_release("standalone")
    release.upgrade()
    return release


def test_helm_test_finds_it_well_and_nothing_was_warned_of(release: Release) -> None:
    release.helm("test", "auth", "--timeout", "5m")
    assert "Warning" not in release.warnings


def test_a_ticket_outlives_the_pod_of_the_server(release: Release) -> None:
    with release.reached() as port:
        ticket = release.create(port)
        release.namespace.kill(f"{NAME}-node-0")
        assert wait_until(lambda: release.redeem(port, ticket) == 200, timeout_s=60)
