"""A release of the chart is changed by helm and kubectl as its user would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guarita.errors import TopologyError
from guarita.topology.helm import Release, why_no_helm
from guarita.topology.kubernetes import Namespace

SAYS = """#!/usr/bin/env python3
import json, os, sys
with open({calls!r}, "a") as file:
    print(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]), file=file)
if "values" in sys.argv:
    print(json.dumps({{"nodes": {{"replicas": 3}}, "drill": {{"enabled": False}}}}))
elif "statefulset" in sys.argv or "deployment" in sys.argv:
    kind = "deployment" if "deployment" in sys.argv else "statefulset"
    names = ["a"] if kind == "deployment" else ["a-sentinel", "a-node"]
    print(json.dumps({{"items": [{{"metadata": {{"name": name}}}} for name in names]}}))
elif {fails!r} in sys.argv:
    sys.exit("it does not want to")
"""


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    for program in ("helm", "kubectl"):
        script = tmp_path / program
        script.write_text(SAYS.format(calls=str(tmp_path / "calls"), fails="--set-json=b=1"))
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    labels = {"app.kubernetes.io/name": "guarita", "app.kubernetes.io/instance": "auth"}
    return Release(Namespace("ns"), labels, Path("chart"))


def calls(tmp_path: Path) -> list[list[str]]:
    return [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]


def test_an_upgrade_keeps_what_it_has_and_waits_for_every_pod(
    release: Release, tmp_path: Path
) -> None:
    release.upgrade({"nodes.replicas": 5, "a.b": "x y"})
    [asked, *_] = [call for call in calls(tmp_path) if "upgrade" in call]
    assert asked[:5] == ["helm", "--namespace", "ns", "upgrade", "auth"]
    assert {
        "chart",
        "--reset-then-reuse-values",
        "--set-json=nodes.replicas=5",
        '--set-json=a.b="x y"',
    } <= {*asked}
    waited = [call[5] for call in calls(tmp_path) if call[3:5] == ["rollout", "status"]]
    assert waited == ["statefulset/a-node", "statefulset/a-sentinel", "deployment/a"]


def test_a_value_is_found_by_its_path(release: Release) -> None:
    assert release.value("nodes.replicas") == 3
    with pytest.raises(TopologyError, match=r"auth has no value nodes\.replicas\.more"):
        release.value("nodes.replicas.more")


def test_what_helm_says_is_told(release: Release) -> None:
    with pytest.raises(TopologyError, match="helm upgrade: it does not want to"):
        release.upgrade({"b": 1})


def test_without_helm_there_is_a_reason(monkeypatch: pytest.MonkeyPatch, release: Release) -> None:
    assert why_no_helm() is None
    monkeypatch.setenv("PATH", "")
    assert "helm is not installed" in str(why_no_helm())
