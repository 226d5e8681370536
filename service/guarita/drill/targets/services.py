"""The services of a local drill: `guarita serve`, each at a place of its own."""

from __future__ import annotations

import hashlib
import http.client
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from guarita import processes
from guarita.drill.targets.base import Breakage, Terms
from guarita.drill.workload.load import Place
from guarita.errors import TopologyError
from guarita.processes import Condition, Identity

READY_S = 60.0
# The generated file decides everything.
_NOT_INHERITED = ("REDIS_", "GUARITA_")


class Services:
    """Started and ended together."""

    def __init__(
        self, directory: Path, places: Sequence[Place], *, breakage: Breakage | None = None
    ) -> None:
        self.terms = Terms()
        self.api_key = secrets.token_urlsafe(24)
        self._secret = secrets.token_urlsafe(48)
        self._directory = directory
        self.places = places
        self._breakage = breakage
        self._running: dict[str, Identity] = {}

    def start(self, store: dict[str, Any], enter: dict[str, list[str]]) -> None:
        """Start those that do not run and return when they answer. Raises `TopologyError`."""
        for place in self.places:
            if self.condition(place.name) is Condition.DEAD:
                self._running[place.name] = self._spawn(place, store, enter.get(place.name, []))
        for place in self.places:
            ready = partial(self.is_ready, place)
            if not processes.wait_until(ready, timeout_s=READY_S, pause_s=0.05):
                raise TopologyError(f"{place.name} did not start: see {self.log(place.name)}")

    def condition(self, name: str) -> Condition:
        identity = self._running.get(name)
        return processes.condition(identity) if identity else Condition.DEAD

    def identity(self, name: str) -> Identity | None:
        return self._running.get(name)

    def kill_all(self) -> None:
        processes.kill(self._running.values())

    def log(self, name: str) -> Path:
        return self._directory / name / "service.log"

    def is_ready(self, place: Place) -> bool:
        """Whether it answers. Raises `TopologyError` where it has ended."""
        if self.condition(place.name) is Condition.DEAD:
            tail = "\n".join(self.log(place.name).read_text(errors="replace").splitlines()[-8:])
            raise TopologyError(f"{place.name} has ended; the end of its log:\n{tail}")
        connection = http.client.HTTPConnection(place.host, place.port, timeout=2)
        try:
            connection.request("GET", "/healthz/deep")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _spawn(self, place: Place, store: dict[str, Any], enter: list[str]) -> Identity:
        directory = self._directory / place.name
        directory.mkdir(parents=True, exist_ok=True)
        config = directory / "guarita.yaml"
        config.touch(mode=0o600)
        config.write_text(yaml.safe_dump(self._settings(place, store)))
        words = ["guarita"]
        if self._breakage is not None:
            words = ["guarita.drill.broken", str(self._breakage)]
        argv = [*enter, sys.executable, "-m", *words, "--config", str(config), "serve"]
        return processes.spawn(
            argv, cwd=directory, log=self.log(place.name), without=_NOT_INHERITED
        )

    def _settings(self, place: Place, store: dict[str, Any]) -> dict[str, Any]:
        digest = hashlib.sha256(self.api_key.encode()).hexdigest()
        return {
            "server": {"bind": f"{place.host}:{place.port}", "workers": 2 // len(self.places)},
            "store": store,
            "sessions": {"max_sessions": 0, **asdict(self.terms)},
            "security": {
                "secret": self._secret,
                "tenants": [{"name": "drill", "key_sha256": digest}],
            },
            "logs": {"format": "json", "level": "warning"},
        }
