"""Values: each is read, each is explained, and what is unsafe is refused with a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

import readme
from .rendering import CHART, nested, refusal, render, template

pytestmark = pytest.mark.chart

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
EVERYTHING = yaml.safe_load((CHART / "ci/everything-values.yaml").read_text())

# Values that mean something only beside others.
OTHER = {"secrets": {"rotation": ""}, "tls": {"source": "none"}}
BESIDE: dict[str, dict[str, Any]] = {
    "topology": {"secrets": {"rotation": ""}},
    "secrets.existingSecret": {"secrets": {"rotation": ""}},
    "service.replicas": {"service": {"autoscaling": {"enabled": False}}},
    "nodes.persistence.enabled": {"nodes": {"persistence": {"allowDataLoss": True}}},
    "nodes.maxUnavailable": {"durability": "balanced"},
    "sentinels.replicas": {"sentinels": {"quorum": 4}},
    "external": OTHER
    | {"topology": "external", "external": {"nodes": ["r:1"], "topology": "sentinel"}},
    "external.sentinelPassword": {"external": {"existingSecret": "redis"}},
    "external.tlsAuthority": {"external": {"existingSecret": "redis", "tls": True}},
    "cluster": OTHER | {"topology": "cluster"},
    "drill": {"drill": {"enabled": True}, "tls": {"source": "none"}},
    "tls.existingSecret": {"tls": {"source": "secret", "existingSecret": "mine"}},
    "tls.issuerName": {"tls": {"source": "certManager", "issuerName": "mine"}},
    "tls.issuerKind": {"tls": {"source": "certManager", "issuerName": "mine"}},
    "tls.issuerGroup": {"tls": {"source": "certManager", "issuerName": "mine"}},
}
# What is neither a flag nor a number nor a text that may be anything.
CHANGED: dict[str, Any] = {
    "topology": "standalone",
    "tls.source": "none",
    "durability": "fast",
    "fullnameOverride": "doors",
    "nodes.fsync": "everysec",
    "image.digest": "sha256:" + "f" * 64,
    "image.pullPolicy": "Always",
    "logs.level": "debug",
    "service.type": "NodePort",
    "service.publicUrl": "https://other.example",
    "region.name": "sa",
    "region.peers": {"sa": {"url": "https://sa.example"}},
    "sentinels.quorum": 4,
    "sentinels.replicas": 7,
    "tenants": [{"name": "other"}],
    "drill.scenarios": ["D4"],
    "imagePullSecrets": [{"name": "other"}],
    "external.topology": "cluster",
    "external.nodes": ["other:1"],
    "serviceMonitor.interval": "30s",
    "networkPolicy.metricsFrom": [{"podSelector": {"matchLabels": {"app": "other"}}}],
    "networkPolicy.apiServerPorts": [8443],
    "extraObjects": [],
    "ingress.hosts": ["other.example"],
    "httpRoute.hostnames": ["other.example"],
}
# Read by the rules alone: it renders nothing.
RULES_ONLY = {"nodes.persistence.allowDataLoss"}


def leaves(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and value and key != "resources":
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


LEAVES = dict(leaves(VALUES))


def another(path: str, value: Any) -> Any:
    """A valid value that differs from the default and from ci/everything."""
    if path in CHANGED:
        return CHANGED[path]
    last = path.rpartition(".")[2]
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case dict() if last == "resources":
            return {"requests": {"cpu": "7m"}}
        case dict():
            return {"other": "thing"} if last not in ("affinity", "config") else {"other": {}}
        case list() if last in ("apiServerCidrs", "trustedProxies"):
            return ["192.0.2.0/24"]
        case list():
            return [{"name": "other"}]
    if last in ("spreadNodes", "spreadZones"):
        return "none"
    if last in ("whenDeleted", "whenScaled"):
        return "Delete"
    return "3Gi" if last == "size" else "other"


@cache
def _rendered(values: str) -> str:
    """Of values as JSON."""
    ended = template(json.loads(values))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - RULES_ONLY))
def test_every_value_is_read(path: str) -> None:
    beside = _merged(BESIDE.get(path.partition(".")[0], {}), BESIDE.get(path, {}))
    values = _merged(EVERYTHING, beside)
    changed = nested(path, another(path, _at(values, path)))
    assert _rendered(json.dumps(values)) != _rendered(json.dumps(_merged(values, changed)))


def _at(values: Any, path: str) -> Any:
    for step in path.split("."):
        if not isinstance(values, dict) or step not in values:
            return LEAVES[path]
        values = values[step]
    return values


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for key, value in other.items():
        inner = merged.get(key)
        both = isinstance(inner, dict) and isinstance(value, dict) and value
        merged[key] = _merged(inner, value) if both and isinstance(inner, dict) else value
    return merged


def test_every_value_is_explained_and_the_readme_is_current() -> None:
    told = {name: meaning for name, _, meaning in readme.rows((CHART / "values.yaml").read_text())}
    assert told.keys() == LEAVES.keys()
    assert [name for name, meaning in told.items() if not meaning.endswith(".")] == []
    page = (CHART / "README.md").read_text("utf-8")
    assert page == readme.readme(), "run: python helm/readme.py"


def test_the_schema_knows_every_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def known(part: dict[str, Any], above: str = "") -> Iterator[str]:
        for key, inner in part.get("properties", {}).items():
            if inner.get("properties") and key != "resources":
                yield from known(inner, f"{above}{key}.")
            else:
                yield f"{above}{key}"

    assert set(known(schema)) - {"global"} == LEAVES.keys()


REFUSED = [
    ("sentinels.replicas", 4, "sentinels.replicas: 4 is even"),
    ("sentinels.replicas", 1, "sentinels.replicas: 1 is less than 3"),
    ("sentinels.quorum", 1, "sentinels.quorum: 1 is less than the majority of 3, which is 2"),
    ("sentinels", {"replicas": 5, "quorum": 2}, "sentinels.quorum: 2 is less than the majority"),
    ("sentinels.quorum", 4, "sentinels.quorum: there are only 3"),
    ("sentinels.downAfterMs", 999, "sentinels.downAfterMs: 999 is less than 1000"),
    ("sentinels.maxUnavailable", 2, "sentinels.maxUnavailable: must be less than the majority"),
    ("sentinels.downAfterMs", 7000, "deadlineSeconds: must be more than sentinels.downAfterMs"),
    ("nodes.replicas", 2, "nodes.replicas: 2 is less than 3"),
    ("nodes.maxUnavailable", 2, "nodes.maxUnavailable: must leave two data nodes"),
    ("nodes.persistence.enabled", False, "false loses every ticket whose pods go"),
    ("nodes.terminationGracePeriodSeconds", 20, "must be more than nodes.stopSeconds"),
    ("sessions.ticketTtlSeconds", 0, "sessions.ticketTtlSeconds: 0: what is over at once"),
    ("sessions.ticketTtlSeconds", 60, "must be less than sessions.ticketTtlSeconds"),
    ("service.terminationGracePeriodSeconds", 15, "a request that waits is answered first"),
    ("service.autoscaling", {"enabled": True, "maxReplicas": 1}, "must not be more than max"),
    ("topology", "external", "external.nodes: needed with topology: external"),
    ("topology", "memory", "/topology"),
    ("external.sentinelPassword", True, "external.existingSecret: needed"),
    ("tls.source", "secret", "tls.existingSecret: needed"),
    ("tls.source", "certManager", "tls.issuerName: needed"),
    ("external.tlsAuthority", True, "external.tlsAuthority: needs external.tls"),
    ("region.peers", {"eu": {"url": "https://eu.example"}}, "region.name: needed"),
    ("serviceMonitor.enabled", True, "networkPolicy.metricsFrom: needed"),
    ("drill", {"enabled": True, "scenarios": []}, "/drill/scenarios"),
    ("tenants", [], "tenants: needed"),
    ("tenants", [{"name": "a", "origins": ["https://A.example/"]}], "/tenants/0/origins/0"),
    ("fullnameOverride", "x" * 41, "/fullnameOverride"),
    ("image.digest", "latest", "/image/digest"),
    ("nodes.memoryMB", 5, "memoryMB"),
    ("nodes.memoryMb", 512, "limits.memory: 768Mi is less than 1152Mi, which is nodes.memoryMb"),
    ("nodes.resources.limits.memory", "0.5G", "nodes.resources.limits.memory: 0.5G is less than"),
    ("nodes.persistence.size", "700Mi", "nodes.persistence.size: 700Mi is less than 768Mi"),
    ("sentinels.terminationGracePeriodSeconds", 25, "must be more than nodes.stopSeconds"),
    ("secrets", {"rotation": "1", "existingSecret": "mine"}, "secrets.rotation: changes the"),
    ("tls.existingSecret", "mine", "tls.existingSecret: read with tls.source: secret alone"),
    ("tls", {"source": "job", "issuerName": "a"}, "tls.issuerName: read with tls.source: certM"),
    ("tls.renewal", "1", "tls.renewal: read with tls.source: job alone, and it is none"),
    ("httpRoute.enabled", True, "httpRoute.parentRefs: needed with httpRoute.enabled"),
    ("region", {"name": "eu", "peers": {"us": {"url": "https://us.example"}}}, "region.peers"),
    (
        "service",
        {"autoscaling": {"enabled": True}, "resources": {"requests": None}},
        "service.resources.requests.cpu: needed with service.autoscaling.enabled",
    ),
]


@pytest.mark.parametrize(("path", "value", "sentence"), REFUSED)
def test_what_is_unsafe_or_contradicts_itself_is_refused(
    path: str, value: Any, sentence: str
) -> None:
    assert sentence in refusal(nested(path, value))


@pytest.mark.parametrize("base", ["standalone", "cluster", "external"])
def test_a_drill_is_refused_where_there_are_no_sentinels(base: str) -> None:
    assert "drill.enabled: needs topology: sentinel" in refusal({"drill": {"enabled": True}}, base)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"tls": {"source": "job"}}, "tls.source: none with topology: cluster"),
        ({"cluster": {"replicas": 0}}, "cluster.replicas: 0: with one machine"),
        ({"cluster": {"nodeTimeoutMs": 999}}, "cluster.nodeTimeoutMs: 999 is less than 1000"),
        ({"cluster": {"nodeTimeoutMs": 7000}}, "must be more than cluster.nodeTimeoutMs"),
        ({"nodes": {"maxUnavailable": 2}}, "nodes.maxUnavailable: 1 with topology: cluster"),
        ({"secrets": {"rotation": "1"}}, "secrets.rotation: changes the passwords of topology"),
    ],
)
def test_what_a_cluster_cannot_be_is_refused(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(values, "cluster")


def test_servers_that_exist_have_their_own_settings_and_are_let_through_to() -> None:
    assert "tls.source: is for servers" in refusal({"tls": {"source": "job"}}, "external")
    closed = {"networkPolicy": {"serviceEgress": []}}
    assert "networkPolicy.serviceEgress: needed with topology" in refusal(closed, "external")
    assert render({"networkPolicy": {"enabled": False, "serviceEgress": []}}, base="external")


@pytest.mark.parametrize("size", ["768Mi", "1G", "805306368", "0.75Gi", "1Ti"])
def test_a_quantity_may_be_written_in_any_unit(size: str) -> None:
    assert render({"nodes": {"persistence": {"size": size}, "resources": {"limits": None}}})


def test_all_contradictions_are_told_at_once() -> None:
    said = refusal({"sentinels": {"replicas": 4}, "tenants": [], "nodes": {"stopSeconds": 50}})
    for name in ("sentinels.replicas", "tenants", "nodes.terminationGracePeriodSeconds"):
        assert f"{name}: " in said
