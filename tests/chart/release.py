"""A release that runs: as much of an API server as `lookup` in a template asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from .rendering import Object, Rendered, template

KINDS = {
    "ConfigMap": "api/v1/configmaps",
    "Pod": "api/v1/pods",
    "StatefulSet": "apis/apps/v1/statefulsets",
}


class Release:
    """Its objects; helm is asked what it makes of an upgrade."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self.objects: dict[tuple[str, str], Object] = {}
        """By resource and name."""

    def runs(self, objects: Iterable[Object]) -> None:
        """What was rendered runs now, and all its pods are ready."""
        for each in objects:
            if each["kind"] in KINDS:
                name = each["metadata"]["name"]
                resource = KINDS[each["kind"]].rpartition("/")[2]
                self.objects[resource, name] = dict(each)
                if each["kind"] == "StatefulSet":
                    for number in range(each["spec"]["replicas"]):
                        self.pod(f"{name}-{number}", is_ready=True)

    def pod(self, name: str, *, is_ready: bool) -> None:
        conditions = [{"type": "Ready", "status": str(is_ready)}]
        self.objects["pods", name] = {"kind": "Pod", "status": {"conditions": conditions}}

    def upgrade(self, values: dict[str, Any], base: str | None = None) -> Rendered:
        """Raises `AssertionError` with what helm said."""
        ended = self._template(values, base)
        assert ended.returncode == 0, ended.stderr
        return Rendered(tuple(each for each in yaml.safe_load_all(ended.stdout) if each))

    def refusal(self, values: dict[str, Any], base: str | None = None) -> str:
        ended = self._template(values, base)
        assert ended.returncode != 0, "it was upgraded"
        return str(ended.stderr)

    def _template(self, values: dict[str, Any], base: str | None) -> Any:
        return template(values, "--dry-run=server", base=base, kubeconfig=self._kubeconfig)


@contextmanager
def running_release(directory: Path) -> Iterator[Release]:
    release = Release(directory / "kubeconfig")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(release))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    named = {
        "clusters": [
            {"name": "a", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        ],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    (directory / "kubeconfig").write_text(yaml.safe_dump(named))
    try:
        yield release
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(release: Release, path: str) -> Object | None:
    if path in {"api/v1", "apis/apps/v1"}:
        resources = [
            {"name": resource, "namespaced": True, "kind": kind, "verbs": ["get"]}
            for kind, place in KINDS.items()
            for group, _, resource in [place.rpartition("/")]
            if group == path
        ]
        version = path.partition("/")[2]
        return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
    *_, resource, name = path.split("/")
    return release.objects.get((resource, name))


def _handler(release: Release) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = _answer(release, self.path.partition("?")[0].strip("/"))
            body = found or {"kind": "Status", "status": "Failure", "reason": "NotFound"}
            content = json.dumps(body).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    return Handler
