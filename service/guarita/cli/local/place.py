"""Where local installations lie, and which of them a command means."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from guarita.errors import TopologyError
from guarita.processes import Condition, condition
from guarita.topology.local import Installation, LocalCluster, LocalSentinel, LocalStandalone
from guarita.topology.local.state import State, StateFile

BASE_PORT = 17_000


class StoreKind(StrEnum):
    SENTINEL = "sentinel"
    STANDALONE = "standalone"
    CLUSTER = "cluster"
    MEMORY = "memory"


_INSTALLATIONS: dict[StoreKind, type[Installation]] = {
    StoreKind.STANDALONE: LocalStandalone,
    StoreKind.CLUSTER: LocalCluster,
}


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of local installations: one for each kind of store."""

    root: Path

    def directory(self, store: StoreKind) -> Path:
        return self.root.absolute() / store

    def file(self, store: StoreKind) -> StateFile:
        return StateFile(self.directory(store))

    def installation(
        self, store: StoreKind, *, server: str | None = None, base_port: int | None = None
    ) -> Installation | None:
        """The nodes of a store; None for the memory store, which has none."""
        directory = self.directory(store)
        if store is StoreKind.SENTINEL:
            return LocalSentinel(directory, server=server, base_port=base_port, agents=True)
        kind = _INSTALLATIONS.get(store)
        return kind(directory, server=server, base_port=base_port) if kind else None

    def running(self) -> list[StoreKind]:
        """The stores of which at least one process is alive. Raises `TopologyError`."""
        return [store for store in StoreKind if is_alive(self.file(store).read())]

    def current(self) -> StoreKind:
        """The store that runs, else the one that ran last. Raises `TopologyError`."""
        if running := self.running():
            return running[0]
        known = [store for store in StoreKind if self.file(store).path.exists()]
        if not known:
            raise TopologyError(
                f"Nothing was started under {self.root} yet: start it with `guarita local up`."
            )
        return max(known, key=lambda store: self.file(store).path.stat().st_mtime)

    def nodes(self) -> Installation:
        """The nodes of the installation that runs. Raises `TopologyError` if there are none."""
        store = self.current()
        if not self.running():
            raise TopologyError("Nothing runs here now: start it with `guarita local up`.")
        installation = self.installation(store)
        if installation is None:
            raise TopologyError("The memory store has no nodes: there is nothing to kill or start.")
        return installation


def is_alive(state: State | None) -> bool:
    """Whether a process of this installation is alive."""
    return state is not None and any(
        condition(each.identity) is not Condition.DEAD for each in state.processes.values()
    )


def is_supervised(state: State | None) -> bool:
    """Whether a `guarita local run` is alive that stops this installation at its end."""
    return (
        state is not None
        and state.supervisor is not None
        and condition(state.supervisor) is not Condition.DEAD
    )
