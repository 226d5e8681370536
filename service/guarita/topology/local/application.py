"""The service and the demo site as processes beside the nodes of a local installation."""

from __future__ import annotations

import http.client
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from guarita import processes
from guarita.errors import TopologyError
from guarita.processes import Condition
from guarita.topology.local import ports
from guarita.topology.local.installation import Installation
from guarita.topology.local.sentinel import PRIMARY_NAME
from guarita.topology.local.state import Kind, Running, StateFile, unwritable

# The generated file decides where the service listens and where its tickets are.
_NOT_INHERITED = ("REDIS_", "GUARITA_CONFIG", "GUARITA_STORE", "GUARITA_SERVER")
_LOG_LINES = 12
_GRACE_S = 12.0  # a request may wait for the store for 10 s


@dataclass(frozen=True, slots=True)
class Application:
    """The service, and the demo site that shows it, on ports of 127.0.0.1."""

    directory: Path
    store: str
    installation: Installation | None  # None with the memory store
    port: int = 8000
    demo_port: int = 8080
    server: Literal["gunicorn", "granian"] = "gunicorn"

    @property
    def file(self) -> StateFile:
        return StateFile(self.directory)

    @property
    def url(self) -> str:
        return f"http://{ports.HOST}:{self.port}"

    @property
    def demo_url(self) -> str:
        return f"http://{ports.HOST}:{self.demo_port}/"

    def launch(self) -> None:
        """Start what does not run. Raises `TopologyError`."""
        with self.file.changing():
            self.file.note(store=self.store)
            config = self._write_config()
            self._start("service", self.port, ["--config", str(config), "serve"])
            # A browser takes localhost and 127.0.0.1 for two sites: the frame is a foreign one.
            service_url = f"http://localhost:{self.port}"
            bind = f"{ports.HOST}:{self.demo_port}"
            self._start("demo", self.demo_port, ["--bind", bind, "--service-url", service_url])

    def obstacle(self) -> str | None:
        """What does not answer yet, in words; None when all does.

        Raises `TopologyError` with the end of its log when the service or the demo has ended.
        """
        self.check_alive()
        for running, path in zip(
            self.file.running("service", "demo"), ("/readyz", "/"), strict=True
        ):
            if not _answers(running.port, path):
                return f"the {running.name} does not answer on port {running.port} yet"
        return None

    def check_alive(self) -> None:
        """Raises `TopologyError` with the end of its log when the service or the demo has ended."""
        for running in self.file.running("service", "demo"):
            if processes.condition(running.identity) is Condition.DEAD:
                raise TopologyError(
                    f"The {running.name} has ended; the end of {running.log}:\n{_tail(running.log)}"
                )

    def stop(self) -> None:
        """Stop the service, then the demo."""
        with self.file.changing():
            for kind in ("service", "demo"):
                ended = self.file.running(kind)
                processes.stop((each.identity for each in ended), timeout_s=_GRACE_S)

    def _start(self, name: Kind, port: int, arguments: list[str]) -> None:
        known = self.file.named(name)
        if known and processes.condition(known.identity) is not Condition.DEAD:
            if known.port != port:
                raise TopologyError(
                    f"The {name} runs on port {known.port} already: `guarita local down` first."
                )
            processes.resume(known.identity)
            return
        if not ports.is_free(port):
            raise TopologyError(
                f"Port {port} of {ports.HOST}, which the {name} needs, is taken by "
                f"{ports.holder(port)}: end that, or choose another port with "
                f"{'--port' if name == 'service' else '--demo-port'}."
            )
        log = self.directory / f"{name}.log"
        module = "guarita" if name == "service" else "guarita.web.demo"
        try:
            identity = processes.spawn(
                [sys.executable, "-m", module, *arguments],
                cwd=self.directory,
                log=log,
                without=_NOT_INHERITED,
            )
        except OSError as exc:
            raise unwritable(self.directory, exc) from exc
        running = Running(
            name=name, kind=name, port=port, log=log, pid=identity.pid, started=identity.started
        )
        self.file.put(running)

    def _write_config(self) -> Path:
        """The service's configuration file, with a secret that outlives a restart."""
        path, secret = self.directory / "guarita.yaml", self.directory / "secret"
        text = "# Written by `guarita local`, at every start.\n"
        text += yaml.safe_dump(self._settings(secret), sort_keys=False)
        try:
            if not secret.exists():
                secret.touch(mode=0o600)
                secret.write_text(secrets.token_urlsafe(48) + "\n")
            path.write_text(text)
        except OSError as exc:
            raise unwritable(self.directory, exc) from exc
        return path

    def _settings(self, secret: Path) -> dict[str, Any]:
        bind = f"{ports.HOST}:{self.port}"
        workers = 1 if self.installation is None else 2
        return {
            "server": {"kind": self.server, "bind": bind, "workers": workers},
            "store": {"topology": str(self.store), **self._store_settings()},
            # Room for a load test; the default is meant for a small production.
            "sessions": {"max_sessions": 100_000},
            "security": {"secret_file": str(secret)},
            "logs": {"format": "text", "security_file": str(self.directory / "security.log")},
            "demo": {"enabled": True, "host_origins": [self.demo_url.rstrip("/")]},
        }

    def _store_settings(self) -> dict[str, Any]:
        if self.installation is None:
            return {}
        nodes = [str(node) for node in self.installation.nodes]
        match self.store:
            case "sentinel":
                sentinels = [str(each) for each in self.installation.sentinels]
                return {"sentinel": {"primary_name": PRIMARY_NAME, "nodes": sentinels}}
            case "cluster":
                return {"cluster": {"nodes": nodes}}
        return {"standalone": {"host": ports.HOST, "port": self.installation.nodes[0].port}}


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tail(log: Path) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
    except OSError as exc:
        return f"(not readable: {exc.strerror})"
