"""A release of the chart in a namespace of its own, on the cluster that KUBECONFIG names."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from guarita.drill.targets.base import Shape
from guarita.drill.targets.kubernetes import KubernetesTarget
from guarita.errors import TopologyError
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

    def versions(self) -> dict[str, int]:
        """What was asked for of each object, as a number that another wish raises; by its name."""
        kinds = "configmaps,services,statefulsets,deployments,networkpolicies,poddisruptionbudgets,"
        kinds += "roles,rolebindings,serviceaccounts,secrets"
        found = {}
        for each in self.namespace.get(kinds, "--selector", "app.kubernetes.io/instance=auth")[
            "items"
        ]:
            told = each["metadata"]
            if "helm.sh/hook" not in told.get("annotations", {}):
                version = int(told.get("generation", told["resourceVersion"]))
                found[f"{each['kind']}/{told['name']}"] = version
        return found

    def evict(self, pod: str) -> str:
        """As a drain does; why not, in words, where its budget does not let it go.

        https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
        """
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace.name},
        }
        path = f"/api/v1/namespaces/{self.namespace.name}/pods/{pod}/eviction"
        ended = self.namespace.call(
            "create", "--raw", path, "--filename", "-", stdin=json.dumps(body)
        )
        return ended.stderr if ended.returncode else ""

    @contextmanager
    def labelled(self) -> Iterator[Callable[[], float]]:
        """Meanwhile, when another pod got the label of the primary: it is waited for. Nobody has
        it who did not lose it before another one got it."""
        told = subprocess.Popen(
            [
                *("kubectl", "--namespace", self.namespace.name, "get", "pods", "--watch"),
                *("--selector", "app.kubernetes.io/component=node", "--output"),
                r"jsonpath={.metadata.name} {.metadata.labels.guarita\/role}{'\n'}",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        roles: dict[str, str] = {}
        changed_s: list[float] = []
        at_once: list[list[str]] = []
        known = threading.Event()

        def read() -> None:
            first = ""
            for line in told.stdout or ():
                name, _, role = line.strip().partition(" ")
                roles[name] = role
                bearers = [name for name, role in roles.items() if role == "primary"]
                if len(roles) == 3 and not first:
                    [first] = bearers
                    known.set()
                if len(bearers) > 1:
                    at_once.append(bearers)
                if first and bearers and bearers != [first]:
                    changed_s.append(time.monotonic())

        reader = threading.Thread(target=read)
        reader.start()

        def other() -> float:
            assert wait_until(lambda: bool(changed_s), timeout_s=WELL_S)
            assert not at_once
            return changed_s[0]

        try:
            assert known.wait(timeout=WELL_S)
            yield other
        finally:
            told.kill()
            told.wait()
            reader.join()
            if told.stdout:
                told.stdout.close()

    @contextmanager
    def named(self, before: str) -> Iterator[Callable[[], float]]:
        """Meanwhile, when a majority of the Sentinels named another primary: it is waited for."""
        target = KubernetesTarget(self.namespace.name, Shape())
        seen_s: list[float] = []
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.02) and not seen_s:
                with contextlib.suppress(TopologyError):
                    if target.primary() != before:
                        seen_s.append(time.monotonic())

        thread = threading.Thread(target=look)
        thread.start()

        def other() -> float:
            thread.join(timeout=WELL_S)
            return seen_s[0]

        try:
            yield other
        finally:
            over.set()
            thread.join()
            target.end()

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
