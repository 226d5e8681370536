"""A Cluster, by ci/cluster: it forms itself, and outlives a primary and a restart of everything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guarita.processes import wait_until

from .running import NAME, Release

pytestmark = pytest.mark.kubernetes


@pytest.fixture(scope="module")
def release(new_release: Callable[[str], Release]) -> Release:
    release = new_release("cluster")
    release.upgrade()
    return release


def test_helm_test_finds_it_well_and_nothing_was_warned_of(release: Release) -> None:
    release.wait_well(nodes=6, sentinels=0)
    release.helm("test", "auth", "--timeout", "5m")
    assert "Warning" not in release.warnings


def test_tickets_outlive_every_pod_of_the_first_primaries(release: Release) -> None:
    with release.reached() as port:
        tickets = [release.create(port) for _ in range(20)]
        for number in range(3):
            release.namespace.kill(f"{NAME}-node-{number}")
            release.wait_well(nodes=6, sentinels=0)
        assert {release.redeem(port, each) for each in tickets} == {200}


def test_all_pods_deleted_at_once_find_each_other_again(release: Release) -> None:
    with release.reached() as port:
        ticket = release.create(port)
    release.namespace.run(
        *("delete", "pods", "--selector", "app.kubernetes.io/component=node"),
        *("--grace-period=0", "--force"),
    )
    release.wait_well(nodes=6, sentinels=0)
    with release.reached() as port:
        assert wait_until(lambda: release.redeem(port, ticket) == 200, timeout_s=60)
