"""`guarita serve` as a process with files of its own, under either server."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from guarita.topology.local.ports import free_ports

MEMORY = {"topology": "memory"}
SERVERS = (
    "gunicorn",
    pytest.param(
        "granian",
        marks=pytest.mark.skipif(
            find_spec("granian") is None, reason="granian is not installed: the extra of this name"
        ),
    ),
)
_BOOTED = re.compile("Booting worker|Spawning worker")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Running:
    """A service process, its port and what it wrote."""

    process: subprocess.Popen[bytes]
    port: int
    directory: Path

    def call(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own: any worker may take it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None
        if body is not None:
            data, named["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, data, named)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def raw(self, request: bytes) -> bytes:
        """All that comes back to these bytes until the service closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65_536):
                received += chunk
            return received

    def is_up(self) -> bool:
        try:
            return self.call("GET", "/readyz").status == 200
        except (OSError, HTTPException):
            return False

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def workers(self) -> list[int]:
        lines = [json.loads(line) for line in self.log().splitlines()]
        booted = [line["event"] for line in lines if _BOOTED.match(line["event"])]
        return [int(text.rpartition(" ")[2]) for text in booted]


def start(directory: Path, **sections: Any) -> subprocess.Popen[bytes]:
    """`guarita serve` with these settings, in a directory of its own."""
    (directory / "guarita.yaml").write_text(json.dumps(sections))
    (directory / "tmp").mkdir(exist_ok=True)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GUARITA_", "REDIS_"))}
    with (directory / "log").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", "from guarita.cli import main; main()", "serve"],
            env=clean | {"GUARITA_CONFIG": "guarita.yaml", "TMPDIR": str(directory / "tmp")},
            cwd=directory,
            stderr=output,
        )


def listens(path: Path) -> bool:
    """Whether the Unix socket takes callers: it is there a moment before it does."""
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0


@contextmanager
def serving(
    directory: Path,
    *,
    kind: str = "gunicorn",
    workers: int = 1,
    more: dict[str, Any] | None = None,
    **sections: Any,
) -> Iterator[Running]:
    """`more` are settings of the section `server`."""
    [port] = free_ports(1)
    server = {"kind": kind, "bind": f"127.0.0.1:{port}", "workers": workers, **(more or {})}
    process = start(directory, server=server, **sections)
    running = Running(process, port, directory)
    try:
        give_up = time.monotonic() + 60
        while not running.is_up():
            assert process.poll() is None, running.log()
            assert time.monotonic() < give_up, running.log()
            time.sleep(0.05)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
