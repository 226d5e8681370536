"""A kit that runs for a test: in a copy of what its user has, under names and ports of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from guarita.processes import wait_until

import kit as kits

ROOT = Path(__file__).parents[2]
_NEEDED = ("deploy", "service", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
_WELL_S = 60.0


class Kit:
    """One kit, by its name, in the directory that is given."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.project = f"guarita-test-{name}-{os.getpid()}"
        self._root = directory
        self._deploy = directory / "deploy"
        _copy(directory)
        self.port = _free_port()
        kits.make_env(self._deploy / ".env")
        self._set(
            COMPOSE_PROJECT_NAME=self.project,
            TAG="test",
            HTTP_PORT=str(self.port),
            HTTPS_PORT=str(self.port),
            NETWORK=_free_network(),
        )
        self.env = kits.read_env(self._deploy / ".env")

    def make(self, target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`make up` and its like, as the Makefile calls it."""
        return subprocess.run(
            [sys.executable, str(self._deploy / "kit.py"), target, self.name, "--", *arguments],
            env={**os.environ, "TAG": "test"},
            capture_output=True,
            text=True,
            check=False,
        )

    def up(self) -> None:
        """Raises `AssertionError` with what it said."""
        started = self.make("up")
        assert started.returncode == 0, started.stderr + self.make("logs", "--tail=20").stdout

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`docker compose` on the kit's file."""
        file = self._deploy / f"compose.{self.name}.yaml"
        return subprocess.run(
            ["docker", "compose", "--file", str(file), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    def started(self) -> dict[str, str]:
        """Since when each container runs."""
        every = self.compose("ps", "--quiet").stdout.split()
        return {each: _lines("inspect", "--format={{.State.StartedAt}}", each)[0] for each in every}

    def remove(self) -> None:
        """With its data."""
        gone = self.make("down", "--volumes")
        assert gone.returncode == 0, gone.stderr

    def left_behind(self) -> list[str]:
        """Containers, networks and volumes of this kit that exist."""
        label = f"label=com.docker.compose.project={self.project}"
        kinds = (["ps", "--all"], ["network", "ls"], ["volume", "ls"])
        return [line for kind in kinds for line in _lines(*kind, "--quiet", "--filter", label)]

    def docker(self, verb: str, service: str, *arguments: str) -> None:
        """`docker kill`, `stop`, `start` ... a container of one instance."""
        _lines(verb, *arguments, self.container(service))

    def wait_healthy(self, service: str) -> None:
        """Until its own health check succeeds."""
        check = ["docker", "exec", self.container(service), "guarita", "health"]
        assert wait_until(
            lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0,
            timeout_s=_WELL_S,
        )

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    # Over HTTP, from outside

    @property
    def tls(self) -> ssl.SSLContext | None:
        if self.name == "standalone":
            return None
        return ssl.create_default_context(cafile=str(self._deploy / ".secrets/tls/ca.crt"))

    def call(
        self, method: str, path: str, body: Any = None, *, key: bool = False
    ) -> tuple[int, Any]:
        """The status, and the JSON of the answer."""
        tls = self.tls
        connection = (
            HTTPSConnection("127.0.0.1", self.port, timeout=20, context=tls)
            if tls
            else HTTPConnection("127.0.0.1", self.port, timeout=20)
        )
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key:
            headers["Authorization"] = f"Bearer {self.env['API_KEY']}"
        content = json.dumps(body) if body is not None else None
        with contextlib.closing(connection):
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def primary(self) -> str:
        """The data node that leads, by the service's own word."""
        (now,) = self.call("GET", "/healthz/deep", key=True)[1]["writes"]
        return str(now["primary"]).partition(":")[0]

    def wait_well(self, replicas: int = 2) -> None:
        """Until every worker that answers counts on all replicas: so often that all are asked."""
        assert wait_until(
            lambda: all(self._is_well(replicas) for _ in range(12)), timeout_s=_WELL_S, pause_s=0.2
        ), self.call("GET", "/healthz/deep", key=True)

    def _is_well(self, replicas: int) -> bool:
        try:
            status, told = self.call("GET", "/healthz/deep", key=True)
        except (OSError, HTTPException):
            return False
        if status != 200:
            return False
        (now,) = told["writes"]
        return len(now["required"]) == replicas and not now["left_out"]

    def _set(self, **values: str) -> None:
        path = self._deploy / ".env"
        text = path.read_text()
        for name, value in values.items():
            text, count = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
            text += "" if count else f"{name}={value}\n"
        path.write_text(text)


def why_no_engine() -> str | None:
    """In words, why no container can run here."""
    try:
        kits.check_engine()
    except kits.Obstacle as exc:
        return str(exc)
    return None


def _copy(directory: Path) -> None:
    """What the image and the kits are made of, without the secrets of a kit in this clone."""
    shutil.copy(ROOT / ".dockerignore", directory)
    for name in _NEEDED:
        source = ROOT / name
        if source.is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", ".env", ".secrets")
            shutil.copytree(source, directory / name, ignore=unwanted)
        else:
            shutil.copy(source, directory / name)


def _lines(*command: str) -> list[str]:
    ended = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"docker {' '.join(command)}: {ended.stderr}"
    return ended.stdout.split()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _free_network() -> str:
    """Its first three numbers: one that no network of this engine has."""
    every = _lines("network", "ls", "--quiet")
    taken = " ".join(_lines("network", "inspect", *every, "--format", "{{json .IPAM.Config}}"))
    return next(found for found in _networks() if f'"{found}.' not in taken)


def _networks() -> Iterator[str]:
    for third in range(100, 250):
        yield f"172.30.{third}"
