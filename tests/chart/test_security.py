"""Every pod meets Pod Security `restricted`, and no pod gets a token that it does not need."""

from __future__ import annotations

from typing import Any

import pytest

from .rendering import render
from .test_objects import each_base

pytestmark = pytest.mark.chart


def every_container(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"]]


@each_base
def test_every_pod_meets_what_restricted_asks_for(base: str) -> None:
    for name, spec in render(base=base).pod_specs().items():
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True, name
        assert pod["runAsUser"] > 0, name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        for container in every_container(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


@each_base
def test_a_cluster_that_gives_users_and_groups_itself_is_told_none(base: str) -> None:
    none = {"podSecurity": {"runAsUser": None, "fsGroup": None}}
    for name, spec in render(none, base=base).pod_specs().items():
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, name


@each_base
def test_every_container_says_what_it_needs(base: str) -> None:
    for name, spec in render(base=base).pod_specs().items():
        for container in every_container(spec):
            resources: dict[str, Any] = container["resources"]
            assert resources["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in resources["limits"], name


@each_base
def test_only_agents_and_the_job_get_a_token(base: str) -> None:
    for name, spec in render(base=base).pod_specs().items():
        may = name.startswith("Job/") or (name == "StatefulSet/auth-guarita-node")
        if not may:
            assert spec["automountServiceAccountToken"] is False, name


@each_base
def test_no_shell_is_called(base: str) -> None:
    for name, spec in render(base=base).pod_specs().items():
        for container in every_container(spec):
            words = [*container.get("command", []), *container.get("args", [])]
            assert not any(word.rpartition("/")[2] in ("sh", "bash") for word in words), name


def test_the_job_and_tests_run_where_the_service_may_and_a_job_that_failed_keeps_its_log() -> None:
    where: dict[str, Any] = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "priorityClassName": "high",
    }
    specs = render({"service": where, "imagePullSecrets": [{"name": "registry"}]}).pod_specs()
    short = {name: each for name, each in specs.items() if name.partition("/")[0] in ("Job", "Pod")}
    assert len(short) == 4
    for name, spec in short.items():
        assert {key: spec[key] for key in where} == where, name
        assert spec["imagePullSecrets"] == [{"name": "registry"}], name
        assert spec["restartPolicy"] == "Never", name


def test_a_drill_may_break_the_servers_and_nobody_else() -> None:
    assert not any("drill" in each for each in render().of("Role"))
    rendered = render({"drill": {"enabled": True}})
    parts = [f"auth-guarita-{part}-{n}" for part in ("node", "sentinel") for n in range(3)]
    own = "auth-guarita-drill"  # the pod that its load goes through
    may: dict[tuple[str, str], list[str]] = {}
    for rule in rendered.one("Role", own)["rules"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                may[verb, resource] = rule.get("resourceNames", ["any"])
    assert may == {
        ("list", "deployments"): ["any"],
        ("get", "pods"): ["any"],
        ("list", "pods"): ["any"],
        ("watch", "pods"): ["any"],
        ("get", "configmaps"): ["auth-guarita", "auth-guarita-node"],
        ("get", "services"): ["auth-guarita"],
        ("get", "secrets"): ["auth-guarita-secrets"],
        ("delete", "pods"): [*parts, own],
        ("create", "pods/exec"): parts,
        ("create", "pods/portforward"): [*parts, own],
        ("get", "pods/log"): parts,
        ("create", "pods"): ["any"],
        ("patch", "pods"): [own],
    }


def test_the_job_may_make_secrets_and_change_its_own_alone() -> None:
    assert render().one("Role", "auth-guarita-secrets")["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "verbs": ["get", "update"],
            "resourceNames": ["auth-guarita-secrets"],
        },
    ]
