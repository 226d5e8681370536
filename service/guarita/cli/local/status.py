"""`guarita local status`: each process, its role and its link, and whom the Sentinels name."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import redis
from rich import box
from rich.table import Table

from guarita.cli.local.place import Place, StoreKind, is_supervised
from guarita.processes import condition
from guarita.topology.local import Condition, Installation, LocalSentinel, Node
from guarita.topology.local.state import Running, State

_ROLES = {"master": "primary", "slave": "replica"}


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process. `link` and `offset` are of a data node, `votes` count the Sentinels for it."""

    name: str
    port: int
    pid: int
    condition: Condition
    role: str = ""  # primary, replica, sentinel, service, demo; empty when unknown
    link: str = ""  # of a replica: up or down; of a primary: its replicas in sync
    offset: int | None = None
    votes: int | None = None
    log: str = ""


@dataclass(frozen=True, slots=True)
class InstallationStatus:
    """What runs, and what is missing (`obstacle`), in words."""

    store: StoreKind
    directory: str
    foreground: bool
    obstacle: str | None
    processes: list[ProcessStatus]

    @property
    def running(self) -> bool:
        return any(each.condition is not Condition.DEAD for each in self.processes)

    def as_json(self) -> dict[str, Any]:
        ready = self.running and self.obstacle is None
        return {**asdict(self), "running": self.running, "ready": ready}

    def as_table(self) -> Table:
        state = (self.obstacle or "ready") if self.running else "not running"
        title = f"{self.store} in {self.directory}: {state}"
        table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD)
        for heading in ("process", "role", "port", "pid", "condition", "link", "named by"):
            table.add_column(heading, no_wrap=True)
        for each in self.processes:
            votes = f"{each.votes} Sentinels" if each.votes else ""
            row = (each.name, each.role, str(each.port), str(each.pid), each.condition)
            table.add_row(*row, each.link, votes)
        return table


def inspect(place: Place) -> InstallationStatus:
    """The current installation as it is now. Raises `TopologyError` if there never was one."""
    store = place.current()
    state = place.file(store).read() or State()
    installation = place.installation(store) if state.ports else None
    votes = installation.votes() if isinstance(installation, LocalSentinel) else None
    return InstallationStatus(
        store=store,
        directory=str(place.directory(store)),
        foreground=is_supervised(state),
        obstacle=installation.obstacle() if installation else None,
        processes=[_inspect(each, installation, votes) for each in state.processes.values()],
    )


def _inspect(
    running: Running, installation: Installation | None, votes: Counter[int] | None
) -> ProcessStatus:
    seen = condition(running.identity)
    info: dict[str, Any] = {}
    if installation and running.kind == "data" and seen is Condition.RUNNING:
        info = _replication(installation, installation.node_at(running.port))
    return ProcessStatus(
        name=running.name,
        port=running.port,
        pid=running.pid,
        condition=seen,
        role=_ROLES.get(str(info.get("role")), "") if running.kind == "data" else running.kind,
        link=_link(info),
        offset=info.get("slave_repl_offset", info.get("master_repl_offset")),
        votes=votes[running.port] if votes is not None and running.kind == "data" else None,
        log=str(running.log),
    )


def _replication(installation: Installation, node: Node) -> dict[str, Any]:
    try:
        with installation.client(node) as client:
            return dict(client.info("replication"))
    except redis.RedisError:
        return {}


def _link(info: dict[str, Any]) -> str:
    if info.get("role") == "slave":
        return str(info["master_link_status"])
    online = sum(
        isinstance(value, dict) and value.get("state") == "online" for value in info.values()
    )
    if not info:
        return ""
    return "1 replica" if online == 1 else f"{online} replicas"
