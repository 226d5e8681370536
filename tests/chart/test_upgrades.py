"""What an upgrade does to a release that runs: `lookup` finds what an API server has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .release import Release, running_release
from .rendering import render

pytestmark = pytest.mark.chart


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    with running_release(tmp_path) as running:
        yield running


@pytest.mark.parametrize("section", ["nodes", "sentinels"])
def test_some_are_taken_away_only_while_who_stays_is_ready_and_a_majority(
    release: Release, section: str
) -> None:
    release.runs(render({section: {"replicas": 5}}).objects)
    fewer = {section: {"replicas": 3}}
    assert release.upgrade(fewer)
    pod = f"auth-guarita-{section.removesuffix('s')}"
    release.pod(f"{pod}-4", is_ready=False)  # as where no machine is left for it
    assert release.upgrade(fewer)
    release.pod(f"{pod}-0", is_ready=False)
    del release.objects["pods", f"{pod}-2"]
    assert f"{section}.replicas: not ready: {pod}-0, {pod}-2: before" in release.refusal(fewer)
    assert release.upgrade({section: {"replicas": 7}})
    release.runs(render({section: {"replicas": 7}}).objects)
    assert f"{section}.replicas: 3 is no majority of the 7" in release.refusal(fewer)


@pytest.mark.parametrize("section", ["nodes", "sentinels"])
@pytest.mark.parametrize(
    "other", [{"size": "3Gi"}, {"storageClass": "fast"}, {"annotations": {"a": "b"}}]
)
def test_other_volumes_are_refused_while_a_stateful_set_has_them(
    release: Release, section: str, other: dict[str, Any]
) -> None:
    release.runs(render().objects)
    said = release.refusal({section: {"persistence": other}})
    assert f"{section}.persistence: the volumes of a StatefulSet that runs" in said
    del release.objects["statefulsets", f"auth-guarita-{section.removesuffix('s')}"]
    assert release.upgrade({section: {"persistence": other}})


def test_a_volume_of_the_same_size_in_other_words_is_the_same(release: Release) -> None:
    release.runs(render({"nodes": {"persistence": {"size": "2Gi"}}}).objects)
    assert release.upgrade({"nodes": {"persistence": {"size": "2048Mi"}}})
    # As the API server keeps one that is not a whole number of bytes.
    claim = release.objects["statefulsets", "auth-guarita-node"]["spec"]["volumeClaimTemplates"][0]
    claim["spec"]["resources"]["requests"]["storage"] = "2362232012800m"
    assert release.upgrade({"nodes": {"persistence": {"size": "2.2Gi"}}})


def test_a_release_whose_volumes_are_small_is_upgraded_all_the_same(release: Release) -> None:
    small = {"nodes": {"persistence": {"size": "700Mi"}}}
    assert "is less than 768Mi" in release.refusal(small)
    release.runs(render({"nodes": {"memoryMb": 64, "persistence": {"size": "700Mi"}}}).objects)
    assert release.upgrade(small)


def test_resources_that_are_nobodys_to_say_are_left_out(release: Release) -> None:
    assert release.upgrade({"nodes": {"resources": None}})


def test_no_volumes_any_more_is_refused_while_there_are_some(release: Release) -> None:
    release.runs(render().objects)
    none = {"nodes": {"persistence": {"enabled": False, "allowDataLoss": True}}}
    assert "nodes.persistence: the volumes" in release.refusal(none)


@pytest.mark.parametrize("count", [3, 7])
def test_passwords_are_changed_where_they_are_known_now(release: Release, count: int) -> None:
    """Whoever is added starts with the new ones, and is not there yet to take both."""
    release.runs(render({"nodes": {"replicas": 5}, "sentinels": {"replicas": 5}}).objects)
    rendered = release.upgrade(
        {
            "nodes": {"replicas": count},
            "sentinels": {"replicas": count},
            "secrets": {"rotation": "2"},
        }
    )
    [job] = rendered.of("Job").values()
    told = job["spec"]["template"]["spec"]["containers"][0]["args"]
    for part in ("node", "sentinel"):
        asked = [each.partition(".")[0] for each in told if f"auth-guarita-{part}-" in each]
        assert asked == [f"auth-guarita-{part}-{number}" for number in range(5)]


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
