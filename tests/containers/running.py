"""A kit that runs for a test: in a copy of what its user has, under names and ports of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Protocol

from testcontainers.compose import DockerCompose

import kit_env
from guarita.processes import wait_until
from guarita.topology.local.ports import free_ports

import kit as kits

ROOT = Path(__file__).parents[2]
_NEEDED = ("deploy", "service", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")
_WELL_S = 60.0
_LONG_S = 300.0


class Kit:
    """One kit, by its name, in the directory that is given."""

    def __init__(
        self, name: str, directory: Path, *, overlays: tuple[str, ...] = (), user: str = ""
    ) -> None:
        """`user`: uid and gid of all containers in place of the image's. `told` is what `make up`
        has printed."""
        self.name = name
        self.overlays = overlays
        self.project = f"guarita-test-{name}-{os.getpid()}"
        self._root = directory
        self._deploy = directory / "deploy"
        _copy(directory)
        [self.port] = free_ports(1)
        self.told = ""
        kit_env.make_env(self._deploy / ".env")
        self._set(
            COMPOSE_PROJECT_NAME=self.project,
            TAG="test",
            HTTP_PORT=str(self.port),
            HTTPS_PORT=str(self.port),
            NETWORK=_free_network(),
        )
        self.env = kit_env.read_env(self._deploy / ".env")
        if user:
            self._run_as(user)

    def make(self, target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`make up` and its like, as the Makefile calls it."""
        kit = [str(self._deploy / "kit.py"), f"--overlays={' '.join(self.overlays)}"]
        return _run(sys.executable, *kit, target, self.name, "--", *arguments)

    def up(self) -> None:
        """Raises `AssertionError` with what it said."""
        started = self.make("up")
        self.told = started.stdout
        assert started.returncode == 0, started.stderr + self.make("logs", "--tail=20").stdout

    @property
    def testcontainers(self) -> DockerCompose:
        """Its files, as testcontainers has them."""
        names = [f"compose.{name}.yaml" for name in (self.name, *self.overlays)]
        return DockerCompose(self._deploy, names, wait=False)

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`docker compose` on the kit's files."""
        files = self.testcontainers.compose_command_property
        return _run(*files, *arguments, cwd=self._deploy)

    def drill(self, action: str) -> None:
        """What `make drill-kit` does to the containers of a kit."""
        ended = _run(sys.executable, str(self._deploy / "kit_drill.py"), action)
        assert ended.returncode == 0, ended.stderr

    def started(self) -> dict[str, str]:
        """Since when each container runs."""
        every = self.compose("ps", "--quiet").stdout.split()
        return {each: _lines("inspect", "--format={{.State.StartedAt}}", each)[0] for each in every}

    def remove(self) -> None:
        """With its data."""
        self.testcontainers.stop(down=True)

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
        assert wait_until(
            lambda: self.run_inside(service, "guarita", "health").returncode == 0,
            timeout_s=_WELL_S,
        )

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def run_inside(self, service: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """A program in the container of an instance."""
        return _run("docker", "exec", self.container(service), *argv)

    @contextlib.contextmanager
    def running_beside(self, service: str, program: str) -> Iterator[str]:
        """Python in a container of its own, in the network of another. Yields the container's id,
        and removes it whatever comes."""
        of = f"--network=container:{self.container(service)}"
        key = f"--env-file={self._deploy / '.env'}"
        python = ("--entrypoint=python3", "guarita:test", "-c", program)
        label = f"--label=com.docker.compose.project={self.project}"
        (container,) = _lines("run", "--detach", of, key, label, *python)
        try:
            yield container
        finally:
            _lines("rm", "--force", container)

    def logs_of(self, container: str) -> str:
        return _run("docker", "logs", container).stdout

    def wait_end_of(self, container: str) -> str:
        """What it has printed when it ended."""
        assert _lines("wait", container) == ["0"], self.logs_of(container)
        return self.logs_of(container)

    @property
    def source(self) -> Path:
        """The package that the kit was made of."""
        return self._root / "service/guarita"

    @property
    def secrets(self) -> Path:
        return self._deploy / ".secrets"

    # Over HTTP, from outside

    @property
    def authority(self) -> Path | None:
        """Who signed its certificate; None where it speaks no TLS."""
        return self.secrets / "tls/ca.crt" if kits.PORTS[self.name] == "HTTPS_PORT" else None

    @property
    def tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.authority) if self.authority else None

    def call(
        self, method: str, path: str, body: Any = None, *, key: bool = False, token: str = ""
    ) -> tuple[int, Any]:
        """The status, and the JSON of the answer; `key`: as a host, `token`: as a guest."""
        tls = self.tls
        connection = (
            HTTPSConnection("127.0.0.1", self.port, timeout=20, context=tls)
            if tls
            else HTTPConnection("127.0.0.1", self.port, timeout=20)
        )
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key or token:
            headers["Authorization"] = f"Bearer {token or self.env['API_KEY']}"
        content = json.dumps(body) if body is not None else None
        with contextlib.closing(connection):
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def primary(self) -> str:
        """The data node that leads (on a Cluster the first of them), by the service's own word."""
        now = self.call("GET", "/healthz/deep", key=True)[1]["writes"][0]
        host = str(now["primary"]).partition(":")[0]
        return next(name for name, address in self._addresses().items() if host in (name, address))

    def _addresses(self) -> dict[str, str]:
        """Of the data nodes, by name."""
        return {f"valkey-{n}": f"{self.env['NETWORK']}.{10 + n}" for n in range(1, 7)}

    def wait_well(self, replicas: int = 2) -> None:
        """Until it is."""
        assert wait_until(lambda: self.is_well(replicas), timeout_s=_WELL_S, pause_s=0.2), (
            self.call("GET", "/healthz/deep", key=True)
        )

    def is_well(self, replicas: int = 2) -> bool:
        """Whether every worker that answers counts on all replicas: so often that all are asked."""
        return all(self._answers_well(replicas) for _ in range(12))

    def _answers_well(self, replicas: int) -> bool:
        try:
            status, told = self.call("GET", "/healthz/deep", key=True)
        except (OSError, HTTPException, ValueError):  # also: the proxy's own words
            return False
        if status != 200:
            return False
        return all(
            len(now["required"]) == replicas and not now["left_out"] for now in told["writes"]
        )

    def _run_as(self, user: str) -> None:
        path = self._deploy / f"compose.{self.name}.yaml"
        head = "x-container: &container\n"
        text = path.read_text()
        assert head in text
        path.write_text(text.replace(head, f'{head}  user: "{user}"\n'))

    def _set(self, **values: str) -> None:
        path = self._deploy / ".env"
        text = path.read_text()
        for name, value in values.items():
            text, count = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
            text += "" if count else f"{name}={value}\n"
        path.write_text(text)


class Start(Protocol):
    """Starts a kit, which is removed when the tests of the module have ended."""

    def __call__(self, name: str, *, overlays: tuple[str, ...] = (), user: str = "") -> Kit: ...


def why_no_engine() -> str | None:
    """In words, why no container can run here."""
    try:
        kits.check_engine()
        kits.check_builder()
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


def _run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Raises `subprocess.TimeoutExpired` where an engine is stuck."""
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=_LONG_S, check=False
    )


def _lines(*command: str) -> list[str]:
    ended = _run("docker", *command)
    assert ended.returncode == 0, f"docker {' '.join(command)}: {ended.stderr}"
    return ended.stdout.split()


def _free_network() -> str:
    """Its first three numbers: one that no network of this engine has."""
    taken = kits.networks()
    return next(
        found
        for found in networks_of_worker()
        if not any(each.has_some_of(kit_env.subnet(found)) for each in taken)
    )


def networks_of_worker() -> Iterator[str]:
    """What this process may draw, and no other worker of the same run."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return (f"172.30.{third}" for third in range(100 + worker, 250, workers))
