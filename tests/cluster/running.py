"""A release of the chart in a namespace of its own, on the cluster that KUBECONFIG names."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from guarita.processes import wait_until
from guarita.topology.kubernetes import Namespace, pod_is_ready

CHART = Path(__file__).parents[2] / "helm/guarita"
IMAGE = f"guarita:{yaml.safe_load((CHART / 'Chart.yaml').read_text())['appVersion']}"
BASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*.yaml"))
WELL_S = 180.0
NAME = "auth-guarita"


def why_no_cluster() -> str | None:
    """In words, why the chart can not be installed anywhere."""
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster"
    for program in (["helm", "version"], ["kubectl", "get", "--raw", "/readyz"]):
        try:
            ended = subprocess.run(program, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return f"{program[0]} is not installed"
        if ended.returncode:
            return f"{program[0]}: {ended.stderr.strip()}"
    return None


class Release:
    """`auth`, by one of ci/ and what is set beside it."""

    def __init__(self, namespace: str, base: str = "sentinel") -> None:
        self.base = base
        self.namespace = Namespace(namespace)
        self.warnings = ""
        self._values: dict[str, Any] = {}

    # Helm

    def create_namespace(self) -> None:
        labels = {
            f"pod-security.kubernetes.io/{how}": "restricted"
            for how in ("enforce", "warn", "audit")
        }
        body = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.namespace.name, "labels": labels},
        }
        self.namespace.run("apply", "--filename", "-", stdin=json.dumps(body))

    def upgrade(self, values: dict[str, Any] | None = None, *, wait: bool = True) -> None:
        """`helm upgrade --install`; `values` replace those of before."""
        self._values = self._values if values is None else values
        more = ["--wait", "--timeout", "8m"] if wait else []
        self.helm(
            *("upgrade", "--install", "auth", str(CHART), "--values"),
            *(str(CHART / f"ci/{self.base}-values.yaml"), "--values", "-", *more),
            stdin=yaml.safe_dump(self._values),
        )

    def helm(self, *arguments: str, stdin: str = "") -> str:
        """Raises `AssertionError` with what it said."""
        ended = subprocess.run(
            ["helm", "--namespace", self.namespace.name, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr + ended.stdout + self.events()
        self.warnings += ended.stderr
        return ended.stdout

    def events(self) -> str:
        return self.namespace.run("get", "pods,events", "--sort-by=.metadata.creationTimestamp")

    def remove(self) -> None:
        self.namespace.run("delete", "namespace", self.namespace.name, "--wait=false")

    # What is there

    @property
    def api_key(self) -> str:
        return self.secret()["api-key-default"]

    def secret(self) -> dict[str, str]:
        data = self.namespace.get("secret", f"{NAME}-secrets")["data"]
        return {key: base64.b64decode(text).decode() for key, text in data.items()}

    def pods(self, part: str) -> dict[str, Any]:
        """By name."""
        label = f"app.kubernetes.io/component={part}"
        return {
            each["metadata"]["name"]: each
            for each in self.namespace.get("pods", "--selector", label)["items"]
        }

    def primary(self) -> str:
        """The pod that bears the label."""
        pods = self.namespace.get("pods", "--selector", "guarita/role=primary")["items"]
        (name,) = (each["metadata"]["name"] for each in pods)
        return str(name)

    def wait_rolled(self) -> None:
        """Until every pod is one of the newest revision and ready."""
        for kind in ("deployment", "statefulset"):
            for each in self.namespace.get(kind)["items"]:
                name = each["metadata"]["name"]
                self.namespace.run(
                    *("rollout", "status", f"{kind}/{name}", "--timeout", f"{WELL_S:g}s"),
                    timeout_s=WELL_S + 10,
                )

    def wait_well(self, nodes: int = 3, sentinels: int = 3) -> None:
        """Until all pods are ready, and an installation is what doctor calls well."""
        wanted = {"node": nodes, "sentinel": sentinels}

        def all_ready() -> bool:
            counts = {
                part: sum(pod_is_ready(pod) for pod in self.pods(part).values()) for part in wanted
            }
            return counts == wanted and all(map(pod_is_ready, self.pods("service").values()))

        assert wait_until(all_ready, timeout_s=WELL_S, pause_s=0.5), self.events()
        assert wait_until(lambda: not self.doctor(), timeout_s=WELL_S, pause_s=1), self.doctor()

    def doctor(self) -> list[str]:
        """What is wrong, by doctor from within an instance of the service."""
        instance = next(
            name for name, pod in sorted(self.pods("service").items()) if pod_is_ready(pod)
        )
        ended = self.namespace.call("exec", instance, "--", "guarita", "doctor", "--json")
        try:
            findings = json.loads(ended.stdout)["findings"]
        except ValueError:
            return [ended.stderr]
        return [each["text"] for each in findings if each["severity"] != "note"]

    # Calls, through the Service

    @contextmanager
    def reached(self) -> Iterator[int]:
        """A port of 127.0.0.1 from which each connection goes through the Service."""
        labels = {
            "app.kubernetes.io/name": "guarita",
            "app.kubernetes.io/instance": "auth",
            "app.kubernetes.io/component": "test",
        }
        with self.namespace.relayed("auth-relay", IMAGE, labels, f"{NAME}:80") as port:
            yield port

    def create(self, port: int) -> str:
        status, told = call(port, "/auth/create-session", {}, self.api_key)
        assert status == 200, told
        return str(told["session_id"])

    def redeem(self, port: int, ticket: str, attempt: str = "the-first-attempt") -> int:
        return call(port, "/auth/redeem", {"session_id": ticket, "attempt": attempt})[0]


def helm(*arguments: str) -> str:
    """What it printed. Raises `AssertionError` with what it said."""
    ended = subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def call(port: int, path: str, body: Any, key: str | None = None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def addresses_in(text: str) -> list[tuple[str, int]]:
    """Every host and port of the cluster that a text names."""
    found = re.findall(r"([a-z0-9.-]+\.svc\.cluster\.local):(\d+)", text)
    return [(host, int(port)) for host, port in found]


def since(began_s: float) -> float:
    return time.monotonic() - began_s
