"""Real installations, started once, and a fresh store with keys of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from guarita.config import Settings
from guarita.deadline import Deadline
from guarita.errors import ServerMissing
from guarita.stores.base import Store
from guarita.stores.connect import new_cache, open_store
from guarita.topology.local import Installation, LocalCluster, LocalSentinel, LocalStandalone
from guarita.topology.local.sentinel import PRIMARY_NAME

TOPOLOGIES = ("memory", "standalone", "sentinel", "cluster")
PASSWORD = "a test's password"


def addresses(nodes: Any) -> list[str]:
    return [f"{node.host}:{node.port}" for node in nodes]


def started(installation: Installation) -> Installation:
    try:
        return installation.__enter__()
    except ServerMissing as exc:
        pytest.skip(str(exc))


def store_settings(installation: Installation | None) -> dict[str, Any]:
    """The `store` section for an installation; None is the memory store."""
    if installation is None:
        return {"topology": "memory"}
    data = {"password": installation.password} if installation.password else {}
    if isinstance(installation, LocalSentinel):
        sentinel = {
            "primary_name": PRIMARY_NAME,
            "nodes": addresses(installation.sentinels),
        }
        if installation.sentinel_password:
            sentinel["password"] = installation.sentinel_password
        return {"topology": "sentinel", "sentinel": sentinel, "data": data}
    if isinstance(installation, LocalCluster):
        nodes = addresses(installation.nodes)
        return {"topology": "cluster", "cluster": {"nodes": nodes}, "data": data}
    node = installation.nodes[0]
    return {
        "topology": "standalone",
        "standalone": {"host": node.host, "port": node.port},
        "data": data,
    }


def settings_for(installation: Installation | None, **store: Any) -> Settings:
    name = uuid.uuid4().hex[:8]
    return Settings.model_validate(
        {
            "store": {**store_settings(installation), **store},
            "sessions": {"key_prefix": f"ticket-{name}:", "stats_key": f"stats-{name}"},
        }
    )


@dataclass(frozen=True)
class Servers:
    """Installations of this test run, each started when first asked for."""

    directory: Path
    stack: ExitStack
    started: dict[str, Installation]

    def get(self, topology: str) -> Installation | None:
        if topology == "memory":
            return None
        if topology not in self.started:
            installation = started(_installation(topology, self.directory / topology))
            self.stack.callback(installation.__exit__, None, None, None)
            self.started[topology] = installation
        return self.started[topology]


def _installation(topology: str, directory: Path) -> Installation:
    if topology == "sentinel":
        return LocalSentinel(directory, password=PASSWORD, sentinel_password="another one")
    kind = LocalStandalone if topology == "standalone" else LocalCluster
    return kind(directory, password=PASSWORD)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack, {})


@pytest.fixture
def opened() -> Iterator[Callable[..., Store]]:
    """Opens stores that are closed when the test ends."""
    with ExitStack() as stack:

        def open_one(settings: Settings, **options: Any) -> Store:
            cache = new_cache(settings.store, settings.sessions)
            store = open_store(settings.store, settings.sessions, cache=cache, **options)
            stack.callback(store.close)
            return store

        yield open_one


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[LocalStandalone]:
    """One of the test's own, to be broken."""
    installation = started(LocalStandalone(tmp_path / "standalone", password=PASSWORD))
    yield installation
    installation.kill_all()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[LocalSentinel]:
    """One of the test's own, to be broken."""
    installation = started(LocalSentinel(tmp_path / "sentinel", password=PASSWORD))
    yield installation
    installation.kill_all()


@pytest.fixture(params=TOPOLOGIES)
def topology(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(topology: str, servers: Servers, opened: Callable[..., Store]) -> Store:
    return opened(settings_for(servers.get(topology)))


@pytest.fixture
def deadline() -> Deadline:
    return Deadline.after(20)
