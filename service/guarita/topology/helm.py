"""A release of the chart that runs in a namespace, changed by `helm` and `kubectl rollout`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from guarita.errors import TopologyError
from guarita.topology.kubernetes import Namespace

ROLLED_S = 480.0
CHART = Path("helm/guarita")
NAME, INSTANCE = "app.kubernetes.io/name", "app.kubernetes.io/instance"


def why_no_helm() -> str | None:
    """In words, why a release cannot be upgraded from here; None where it can."""
    if shutil.which("helm") is None:
        return "helm is not installed: https://helm.sh/docs/intro/install/"
    return None


class Release:
    """All raise `TopologyError` with what helm or kubectl said."""

    def __init__(self, namespace: Namespace, labels: Mapping[str, str], chart: Path) -> None:
        """`labels` are of every object of it, and of no other's."""
        self._namespace = namespace
        self._labels = {key: labels[key] for key in (NAME, INSTANCE)}
        self._name = labels[INSTANCE]
        self._chart = chart

    def value(self, path: str) -> Any:
        """What it was installed with, the chart's defaults included, at `nodes.replicas` or so."""
        found: Any = json.loads(self._helm("get", "values", self._name, "--all", "--output=json"))
        for step in path.split("."):
            if not isinstance(found, dict) or step not in found:
                raise TopologyError(f"{self._name} has no value {path}")
            found = found[step]
        return found

    def upgrade(self, changes: Mapping[str, Any]) -> None:
        """`helm upgrade` with these beside what it has; returns when all pods are new and ready."""
        if self.value("drill.enabled"):
            raise TopologyError(
                "each upgrade of this release plays a drill by itself: set drill.enabled to false"
            )
        self._helm(
            *("upgrade", self._name, str(self._chart), "--reset-then-reuse-values", "--wait"),
            *(f"--timeout={ROLLED_S:.0f}s",),
            *(f"--set-json={path}={json.dumps(value)}" for path, value in changes.items()),
        )
        for part in self.parts():
            self.wait_rolled(part)

    def parts(self) -> Iterator[str]:
        """What has pods, as `kind/name`: data nodes, Sentinels, the service."""
        selector = ",".join(f"{key}={value}" for key, value in self._labels.items())
        for kind in ("statefulset", "deployment"):
            found = self._namespace.get(kind, "--selector", selector)["items"]
            for name in sorted(each["metadata"]["name"] for each in found):
                yield f"{kind}/{name}"

    def restart(self, part: str) -> None:
        """Pod after pod; returns when all are new and ready."""
        self._namespace.run("rollout", "restart", part)
        self.wait_rolled(part)

    def wait_rolled(self, part: str) -> None:
        self._namespace.run(
            *("rollout", "status", part, f"--timeout={ROLLED_S:.0f}s"), timeout_s=ROLLED_S + 10
        )

    def _helm(self, *arguments: str) -> str:
        command = ["helm", "--namespace", self._namespace.name, *arguments]
        ended = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # Ctrl-C is not its to hear: it would leave a change half done
        )
        if ended.returncode:
            raise TopologyError(f"helm {arguments[0]}: {ended.stderr.strip()}")
        return ended.stdout
