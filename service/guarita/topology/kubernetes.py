"""One namespace of a cluster, by `kubectl` as its user has set it up."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from guarita.errors import TopologyError
from guarita.processes import wait_until

RELAY_PORT = 8080
_FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")
# Of the server, whose agent is the container's first process: that one takes no signal from inside.
_SIGNAL = (
    "import os,sys; os.kill(int(open('/data/server.pid').read().split()[0]), int(sys.argv[1]))"
)


class Namespace:
    """All raise `TopologyError` with what kubectl said."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *arguments: str, stdin: str | None = None, timeout_s: float = 120.0) -> str:
        """What it printed."""
        ended = self.call(*arguments, stdin=stdin, timeout_s=timeout_s)
        if ended.returncode:
            raise TopologyError(f"kubectl {' '.join(arguments[:3])}: {ended.stderr.strip()}")
        return ended.stdout

    def call(
        self, *arguments: str, stdin: str | None = None, timeout_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """However it ended."""
        command = ["kubectl", "--namespace", self.name, *arguments]
        try:
            return subprocess.run(  # noqa: S603
                command,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
                start_new_session=True,  # nor is Ctrl-C its to hear
            )
        except FileNotFoundError:
            raise TopologyError(
                "kubectl is not installed: https://kubernetes.io/docs/tasks/tools/"
            ) from None
        except subprocess.TimeoutExpired:
            raise TopologyError(
                f"kubectl {arguments[0]} did not end within {timeout_s:g} s"
            ) from None

    def get(self, *arguments: str, raw: bool = False) -> Any:
        """Objects, parsed; `raw`: a path of the API server."""
        return json.loads(self.run("get", *arguments, *([] if raw else ["--output", "json"])))

    def signal_server(self, pod: str, number: int) -> None:
        """To the server of a data node or Sentinel, not to its agent."""
        self.run("exec", pod, "--", "python3", "-c", _SIGNAL, str(number))

    def kill(self, pod: str) -> None:
        """Without a word: its processes get SIGKILL, and it is no object any more."""
        self.run("delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")

    def wait_ready(self, pod: str, timeout_s: float) -> None:
        """Until there is a ready pod of this name; meanwhile there may be none."""

        def is_ready() -> bool:
            found = self.run("get", "pod", pod, "--ignore-not-found", "--output", "json")
            return bool(found.strip()) and pod_is_ready(json.loads(found))

        if not wait_until(is_ready, timeout_s=timeout_s, pause_s=0.2):
            raise TopologyError(f"pod {pod} was not ready after {timeout_s:g} s")

    @contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[int]:
        """A port of 127.0.0.1 that leads to `pod/NAME` or `service/NAME`, as long as it lasts."""
        forward = Forward(self, target, port)
        try:
            yield forward.port
        finally:
            forward.close()

    @contextmanager
    def relayed(
        self,
        name: str,
        image: str,
        labels: dict[str, str],
        to: str,
        placement: dict[str, Any] | None = None,
    ) -> Iterator[int]:
        """A port of 127.0.0.1 from which each connection goes through the Service at `to`.

        A port that is forwarded to a Service leads to one pod of it, and ends with that pod; so a
        pod of our own, which lives on, is in between. `placement` are fields of its spec: where it
        may run and who may pull its image.
        """
        relay = _relay(name, image, labels, to)
        relay["spec"] |= placement or {}
        self.run("apply", "--filename", "-", stdin=json.dumps(relay))
        try:
            self.wait_ready(name, timeout_s=60)
            with self.forwarded(f"pod/{name}", RELAY_PORT) as port:
                yield port
        finally:
            self.run("delete", "pod", name, "--grace-period=0", "--force", "--ignore-not-found")


class Forward:
    """`kubectl port-forward`, while it lasts: it ends with its pod."""

    def __init__(self, namespace: Namespace, target: str, port: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            ["kubectl", "--namespace", namespace.name, "port-forward", target, f":{port}"],  # noqa: S607
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            self.port = _forwarded_port(self._process, target)
        except TopologyError:
            self.close()
            raise
        finally:  # it tells each connection, and would wait for somebody who reads that
            threading.Thread(target=_read_on, args=(self._process,), daemon=True).start()

    @property
    def lasts(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Forwards:
    """To pods by name, made when they are first asked for, and anew when a pod was replaced."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._forwards: dict[str, Forward] = {}
        self._tried_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def port(self, pod: str, port: int) -> int:
        """Raises `TopologyError` where there is no such pod; it is not tried again for a second."""
        with self._lock:
            forward = self._forwards.get(pod)
            if forward is not None and forward.lasts:
                return forward.port
            now_s = time.monotonic()
            if now_s - self._tried_s.get(pod, float("-inf")) < 1.0:
                raise TopologyError(f"pod {pod} is not reached")
            self._tried_s[pod] = now_s
        made = Forward(self._namespace, f"pod/{pod}", port)
        with self._lock:
            old, self._forwards[pod] = self._forwards.get(pod), made
        if old is not None:
            old.close()
        return made.port

    def close(self) -> None:
        with self._lock:
            for each in self._forwards.values():
                each.close()
            self._forwards.clear()


def pod_is_ready(pod: Any) -> bool:
    """And not on its way out."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _forwarded_port(process: subprocess.Popen[str], target: str) -> int:
    end_s = time.monotonic() + 30
    said = []
    while process.stdout and time.monotonic() < end_s:
        line = process.stdout.readline()
        if found := _FORWARDED.match(line):
            return int(found[1])
        if not line:
            break
        said.append(line.strip())
    raise TopologyError(f"kubectl port-forward {target}: {' '.join(said) or 'it ended'}")


def _read_on(process: subprocess.Popen[str]) -> None:
    if process.stdout:
        with process.stdout:
            for _ in process.stdout:
                pass


def _relay(name: str, image: str, labels: dict[str, str], to: str) -> Any:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "relay",
                    "image": image,
                    "command": ["python3", "-m", "guarita.drill.relay", str(RELAY_PORT), to],
                    "ports": [{"containerPort": RELAY_PORT}],
                    "readinessProbe": {"tcpSocket": {"port": RELAY_PORT}, "periodSeconds": 1},
                    "resources": {
                        "requests": {"cpu": "50m", "memory": "64Mi"},
                        "limits": {"memory": "256Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
