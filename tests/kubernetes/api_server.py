"""As much of an API server as is asked for: over TLS, with a token, and resource versions."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from guarita import certs
from guarita.kubernetes.api import JSON_PATCH, Api

Objects = dict[str, dict[str, Any]]
TOKEN = "the-token-of-the-pod"


class ApiServer:
    """Its objects by `kind/name`, in one namespace."""

    def __init__(self, directory: Path) -> None:
        certs.init(directory, (certs.Leaf("server", ("localhost",)),))
        (directory / "token").write_text(TOKEN)
        (directory / "namespace").write_text("auth")
        self._directory = directory
        self.objects: Objects = {}
        self.calls: list[str] = []
        self.refuse: dict[str, int] = {}  # status by `METHOD kind`
        self.before_write: list[Any] = []  # called once each, before a write is looked at
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[ApiServer]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._directory / "server.crt", self._directory / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    @property
    def api(self) -> Api:
        return Api("localhost", self.port, account=self._directory, timeout_s=5)

    def answer(self, method: str, path: str, kind: str, body: Any) -> tuple[int, Any]:
        parts = path.removeprefix("/api/v1/namespaces/auth/").split("/")
        self.calls.append(f"{method} {'/'.join(parts)}")
        if status := self.refuse.get(f"{method} {parts[0]}"):
            return status, {"message": "forbidden for this account"}
        if method != "GET" and self.before_write:
            self.before_write.pop(0)()
        if method == "POST":
            return self._create(parts[0], body)
        found = self.objects.get("/".join(parts))
        if found is None:
            return 404, {"message": "not found"}
        if method == "PUT":
            if body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
                return 409, {"message": "the object has been modified"}
            return 200, self._put("/".join(parts), body)
        if method == "PATCH":
            return self._patch("/".join(parts), kind, body)
        return 200, found

    def _create(self, kind: str, body: Any) -> tuple[int, Any]:
        key = f"{kind}/{body['metadata']['name']}"
        if key in self.objects:
            return 409, {"message": "already exists"}
        return 201, self._put(key, body)

    def _put(self, key: str, body: Any) -> Any:
        before = int(self.objects.get(key, {}).get("metadata", {}).get("resourceVersion", 0))
        body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(before + 1)}}
        self.objects[key] = body
        return body

    def _patch(self, key: str, kind: str, body: Any) -> tuple[int, Any]:
        labels = self.objects[key]["metadata"].setdefault("labels", {})
        if kind != JSON_PATCH:
            labels.update(body["metadata"]["labels"])
            return 200, self.objects[key]
        for step in body:
            name = step["path"].removeprefix("/metadata/labels/").replace("~1", "/")
            if step["op"] == "test" and labels.get(name) != step["value"]:
                return 422, {"message": "the test failed"}
            if step["op"] == "replace":
                labels[name] = step["value"]
        return 200, self.objects[key]


def _handler(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                status, told = 401, {"message": "Unauthorized"}
            else:
                kind = self.headers["Content-Type"]
                status, told = server.answer(self.command, self.path, kind, body)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = _do  # noqa: N815 - names of http.server

        def log_message(self, format: str, *args: object) -> None:
            """Calls are kept."""

    return Handler
