"""What an upgrade does to a release that runs: `lookup` finds what an API server has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .release import Release, running_release
from .rendering import render

pytestmark = pytest.mark.chart


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    with running_release(tmp_path) as running:
        yield running


@pytest.mark.parametrize("section", ["nodes", "sentinels"])
def test_some_are_taken_away_only_while_all_are_ready_and_a_majority_stays(
    release: Release, section: str
) -> None:
    release.runs(render({section: {"replicas": 5}}).objects)
    fewer = {section: {"replicas": 3}}
    assert release.upgrade(fewer)
    for (kind, _), each in release.objects.items():
        if kind == "statefulsets":
            each["status"]["readyReplicas"] -= 1
    assert f"{section}.replicas: only 4 of 5 pods are ready" in release.refusal(fewer)
    assert release.upgrade({section: {"replicas": 7}})
    release.runs(render({section: {"replicas": 7}}).objects)
    assert f"{section}.replicas: 3 is no majority of the 7" in release.refusal(fewer)


def test_nodes_of_a_cluster_are_added_and_not_taken_away(release: Release) -> None:
    release.runs(render({"cluster": {"replicas": 2}}, base="cluster").objects)
    assert release.upgrade({"cluster": {"replicas": 3}}, "cluster")
    assert "cluster.replicas: nodes of a Cluster" in release.refusal({}, "cluster")


def test_who_is_taken_away_is_reached_and_labelled_until_it_has_left(release: Release) -> None:
    release.runs(render({"nodes": {"replicas": 5}}).objects)
    rendered = release.upgrade({})
    for leaving in ("auth-guarita-node-3", "auth-guarita-node-4"):
        assert leaving in rendered.of("Service")
        assert leaving in rendered.one("Role", "auth-guarita-node")["rules"][0]["resourceNames"]
    assert len(rendered.config("auth-guarita-node")["node"]["peers"]) == 3
    release.runs(rendered.objects)
    assert "auth-guarita-node-3" not in release.upgrade({}).of("Service")


@pytest.mark.parametrize("before", ["sentinel", "cluster", "standalone", "external"])
@pytest.mark.parametrize("after", ["sentinel", "cluster", "standalone", "external"])
def test_another_topology_is_refused_while_one_runs(
    release: Release, before: str, after: str
) -> None:
    release.runs(render(base=before).objects)
    if before == after:
        assert release.upgrade({}, after)
    else:
        said = release.refusal({}, after)
        assert f"topology: {before} runs here, and {after} would not have its tickets" in said


def test_tls_is_refused_where_servers_run_without_and_the_other_way_round(release: Release) -> None:
    for before, after in (("none", "job"), ("job", "none")):
        release.runs(render({"tls": {"source": before}}).objects)
        assert release.upgrade({"tls": {"source": before}})
        said = release.refusal({"tls": {"source": after}})
        assert "tls.source: TLS cannot be switched on or off" in said
