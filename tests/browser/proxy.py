"""A proxy between browser and service: notes what is asked, and makes trouble when told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

SCRIPT = b'<script src="/client/guarita.js"></script>'
PROBLEM = {"type": "about:blank", "title": "Store unavailable", "status": 503, "detail": "busy"}


class Trouble(Enum):
    """What happens to a request."""

    BUSY = auto()  # answered 503 without asking the service
    PATIENCE = auto()  # the same, to come back in a minute
    LOST_REPLY = auto()  # the service does it and nobody hears about it
    SCRIPT_TWICE = auto()  # the page in the answer includes its script twice


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came in."""

    method: str
    path: str
    body: Any


class Proxy(ThreadingHTTPServer):
    """Passes everything on to 127.0.0.1:`service_port`, but for the paths in `troubles`."""

    daemon_threads = True

    def __init__(self, service_port: int) -> None:
        super().__init__(("127.0.0.1", 0), Passage)
        self.service_port = service_port
        self.troubles: dict[str, Trouble] = {}
        self.seen: list[Seen] = []

    @property
    def url(self) -> str:
        """`localhost`: to a browser another site than 127.0.0.1, where the host page is."""
        return f"http://localhost:{self.server_port}"

    def asked(self, path: str) -> list[Seen]:
        return [each for each in self.seen if each.path == path]

    @contextmanager
    def serving(self) -> Iterator[Proxy]:
        thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class Passage(BaseHTTPRequestHandler):
    """One request on its way."""

    server: Proxy

    def do_GET(self) -> None:
        self._pass(None)

    def do_POST(self) -> None:
        self._pass(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _pass(self, body: bytes | None) -> None:
        path = urlsplit(self.path).path
        self.server.seen.append(Seen(self.command, path, json.loads(body) if body else None))
        trouble = self.server.troubles.get(path)
        if trouble in (Trouble.BUSY, Trouble.PATIENCE):
            after_ms = 200 if trouble is Trouble.BUSY else 60_000
            content = json.dumps(PROBLEM | {"retry_after_ms": after_ms}).encode()
            self._answer(503, {"Content-Type": "application/problem+json"}, content)
            return
        try:
            status, headers, content = self._ask_service(body)
        except (OSError, HTTPException):
            return
        if trouble is Trouble.SCRIPT_TWICE:
            content = content.replace(SCRIPT, SCRIPT * 2)
        if trouble is not Trouble.LOST_REPLY:
            self._answer(status, headers, content)

    def _ask_service(self, body: bytes | None) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.service_port, timeout=60)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        hop_by_hop = {"connection", "keep-alive", "transfer-encoding", "content-length"}
        for name, value in headers.items():
            if name.lower() not in hop_by_hop:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `seen`."""
