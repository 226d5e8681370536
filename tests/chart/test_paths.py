"""The NetworkPolicies: each path that is needed is open, and no other."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from .rendering import Object, Rendered, render

pytestmark = pytest.mark.chart

PARTS = ("service", "node", "sentinel", "test", "secrets", "stranger")
PORTS = {"service": (8000,), "node": (6379, 8300), "sentinel": (26379, 8300)}
NEEDED = {
    ("service", "node", 6379),
    ("service", "node", 8300),  # doctor asks the agents
    ("service", "sentinel", 26379),
    ("node", "node", 6379),
    ("node", "node", 8300),
    ("node", "sentinel", 26379),
    ("sentinel", "node", 6379),
    ("sentinel", "node", 8300),
    ("sentinel", "sentinel", 26379),
    ("test", "service", 8000),
    ("test", "node", 6379),
    ("test", "node", 8300),
    ("test", "sentinel", 26379),
    ("stranger", "service", 8000),
}


def labels_of(part: str) -> dict[str, str]:
    if part == "stranger":
        return {"app": "other"}
    return {
        "app.kubernetes.io/name": "guarita",
        "app.kubernetes.io/instance": "auth",
        "app.kubernetes.io/component": part,
    }


def selects(selector: Object, labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items()


def peer_matches(peer: Object, labels: dict[str, str]) -> bool:
    """In the same namespace."""
    if "ipBlock" in peer or "namespaceSelector" in peer:
        return False
    return selects(peer["podSelector"], labels)


def rule_allows(rule: Object, side: str, labels: dict[str, str] | None, port: int) -> bool:
    """`labels` of the other end; None: outside of the cluster."""
    ports = [each["port"] for each in rule.get("ports", []) if each["protocol"] == "TCP"]
    if rule.get("ports") and port not in ports:
        return False
    peers = rule.get(side)
    return not peers or (labels is not None and any(peer_matches(p, labels) for p in peers))


def allows(rendered: Rendered, source: str, target: str | None, port: int) -> bool:
    """By the rules of Kubernetes: both ends must allow it, whoever no policy selects allows all."""
    ends: list[tuple[str, str | None, str, str, str]] = [(source, target, "Egress", "egress", "to")]
    if target is not None:
        ends.append((target, source, "Ingress", "ingress", "from"))
    for end, other, kind, rules, side in ends:
        policies = [
            each["spec"]
            for each in rendered.of("NetworkPolicy").values()
            if selects(each["spec"]["podSelector"], labels_of(end))
            and kind in each["spec"]["policyTypes"]
        ]
        others = labels_of(other) if other else None
        if policies and not any(
            rule_allows(rule, side, others, port)
            for policy in policies
            for rule in policy.get(rules) or []
        ):
            return False
    return True


def open_paths(rendered: Rendered) -> set[tuple[str, str, int]]:
    return {
        (source, target, port)
        for source, target in itertools.product(PARTS, PORTS)
        for port in PORTS[target]
        if allows(rendered, source, target, port)
    }


def test_the_paths_that_are_needed_are_open_and_no_other() -> None:
    assert open_paths(render()) == NEEDED


def test_who_is_named_may_come_and_nobody_else() -> None:
    policy: dict[str, Any] = {
        "storeFrom": [{"podSelector": {"matchLabels": {"app": "other"}}}],
        "metricsFrom": [{"podSelector": {"matchLabels": {"app": "other"}}}],
    }
    paths = open_paths(render({"networkPolicy": policy}))
    assert paths - NEEDED == {
        ("stranger", "node", 6379),
        ("stranger", "node", 8300),
        ("stranger", "sentinel", 26379),
        ("stranger", "sentinel", 8300),
    }
    assert paths >= NEEDED


def test_who_reads_metrics_reads_those_of_the_service_too_where_its_callers_are_named() -> None:
    policy: dict[str, Any] = {
        "serviceFrom": [{"podSelector": {"matchLabels": {"app": "proxy"}}}],
        "metricsFrom": [{"podSelector": {"matchLabels": {"app": "other"}}}],
    }
    paths = open_paths(render({"networkPolicy": policy}))
    assert {each for each in paths if each[0] == "stranger"} == {
        ("stranger", "service", 8000),
        ("stranger", "node", 8300),
        ("stranger", "sentinel", 8300),
    }


@pytest.mark.parametrize(
    ("part", "ports"),
    [
        ("service", {53}),
        ("node", {53, 443, 6443}),
        ("sentinel", {53}),
        ("test", {53}),
        ("secrets", {53, 443, 6443}),
    ],
)
def test_outside_only_names_and_the_api_server_are_reached(part: str, ports: set[int]) -> None:
    rendered = render()
    tried = (22, 53, 80, 443, 6379, 6443, 8000, 8300, 26379)
    assert {port for port in tried if allows(rendered, part, None, port)} == ports


def test_without_labels_data_nodes_do_not_reach_the_api_server() -> None:
    assert not allows(render({"nodes": {"labelPods": False}}), "node", None, 443)


def test_while_passwords_change_the_job_asks_the_servers() -> None:
    paths = open_paths(render({"secrets": {"rotation": "1"}}))
    assert paths - NEEDED == {("secrets", "node", 6379), ("secrets", "sentinel", 26379)}


def test_the_job_of_an_upgrade_reaches_the_servers_under_the_policies_of_before() -> None:
    before = render()
    after = render({"secrets": {"rotation": "1"}})
    stay = [each for each in before.objects if not is_hook(each)]
    new = [each for each in after.objects if is_hook(each)]
    paths = open_paths(Rendered((*stay, *new)))
    assert {("secrets", "node", 6379), ("secrets", "sentinel", 26379)} <= paths


def is_hook(each: Object) -> bool:
    """Whether Helm makes it before all else."""
    return "pre-upgrade" in each["metadata"].get("annotations", {}).get("helm.sh/hook", "")


def test_nodes_of_a_cluster_reach_each_other_and_who_forms_it_reaches_them() -> None:
    rendered = render(base="cluster")

    def reach(port: int) -> set[str]:
        return {each for each in (*PARTS, "form") if allows(rendered, each, "node", port)}

    assert reach(6379) == {"service", "node", "form", "test"}
    assert reach(16379) == {"node"}
    assert not allows(rendered, "form", None, 443)


def test_a_standalone_server_is_reached_by_the_service_and_reaches_nobody() -> None:
    rendered = render(base="standalone")
    assert open_paths(rendered) >= {("service", "node", 6379)}
    assert not allows(rendered, "node", "service", 8000)
    assert not allows(rendered, "node", None, 443)
