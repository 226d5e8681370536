"""Names are kept in a hosts file of each pod's own, so that no Sentinel waits for a name."""

from __future__ import annotations

from typing import Any

import pytest

from .rendering import render

pytestmark = pytest.mark.chart
PODS = (
    "StatefulSet/auth-guarita-node",
    "StatefulSet/auth-guarita-sentinel",
    "Deployment/auth-guarita",
)


def hosts_of(spec: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    """Init containers, mounts at /etc/hosts, and the setting that names it."""
    ours = spec["containers"][0]
    return (
        [each["name"] for each in spec.get("initContainers", [])],
        [each for each in ours["volumeMounts"] if each["mountPath"] == "/etc/hosts"],
        [e["value"] for e in ours["env"] if e["name"] == "GUARITA_STORE__HOSTS_FILE"],
    )


@pytest.mark.parametrize("pod", PODS)
def test_a_copy_of_the_pods_hosts_file_is_mounted_where_it_is_looked_up(pod: str) -> None:
    spec = render().pod_specs()[pod]
    assert hosts_of(spec) == (
        ["hosts"],
        [{"name": "hosts", "mountPath": "/etc/hosts", "subPath": "hosts"}],
        ["/etc/hosts"],
    )
    copy = spec["initContainers"][0]
    assert copy["command"] == ["cp", "/etc/hosts", "/hosts/hosts"]
    assert copy["volumeMounts"] == [{"name": "hosts", "mountPath": "/hosts"}]
    assert {"name": "hosts", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}} in spec[
        "volumes"
    ]


@pytest.mark.parametrize("topology", ["standalone", "cluster"])
def test_without_sentinels_there_is_none(topology: str) -> None:
    for name, spec in render({"topology": topology}).pod_specs().items():
        assert "hosts" not in [each["name"] for each in spec.get("volumes", [])], name
        assert "initContainers" not in spec, name


@pytest.mark.parametrize("part", ["nodes", "sentinels", "service"])
def test_init_containers_of_the_values_come_after_it(part: str) -> None:
    values = {part: {"initContainers": [{"name": "mine", "image": "mine:1"}]}}
    pod = dict(zip(("nodes", "sentinels", "service"), PODS, strict=True))[part]
    assert hosts_of(render(values).pod_specs()[pod])[0] == ["hosts", "mine"]
