"""What a local installation remembers on disk: its ports and its processes, in one JSON file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from guarita.errors import TopologyError
from guarita.processes import Identity

Kind = Literal["data", "sentinel", "service", "demo"]


class Running(BaseModel):
    """A process that was started, and perhaps ended since."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    port: int
    log: Path
    pid: int
    started: str

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.started)


class State(BaseModel):
    """The contents of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    store: str = ""
    server: str | None = None  # the program that was asked for
    ports: dict[str, int] = {}  # by the name of the node
    supervisor: Identity | None = None  # the foreground command that stops all at its end
    processes: dict[str, Running] = {}


class StateFile:
    """Reads and replaces the file as a whole; writers take turns by a lock beside it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "state.json"

    def read(self) -> State | None:
        """The state, or None if nothing was ever started here. Raises `TopologyError`."""
        try:
            return State.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, OSError) as exc:
            raise TopologyError(
                f"{self.path} cannot be read ({type(exc).__name__}): end the processes it names "
                f"if any runs, then remove {self.path.parent}"
            ) from exc

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock: nobody else changes the state meanwhile. Raises `TopologyError`."""
        try:
            # What tickets hold is nobody else's on this machine.
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise unwritable(self.path.parent, exc) from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def note(self, **changes: Any) -> None:
        """Replace fields of the state, under the lock that the caller holds.

        Raises `TopologyError`.
        """
        state = (self.read() or State()).model_copy(update=changes)
        draft = self.path.with_suffix(".draft")
        try:
            draft.write_text(state.model_dump_json(indent=2) + "\n")
            draft.replace(self.path)
        except OSError as exc:
            raise unwritable(self.path.parent, exc) from exc

    def put(self, running: Running) -> None:
        """Note a process, under the lock that the caller holds. Raises `TopologyError`."""
        state = self.read() or State()
        self.note(processes={**state.processes, running.name: running})

    def running(self, *kinds: Kind) -> list[Running]:
        """The processes of these kinds, whether they are alive or not. Raises `TopologyError`."""
        state = self.read()
        return [each for each in state.processes.values() if each.kind in kinds] if state else []

    def named(self, name: str) -> Running | None:
        """The process of this name, whether it is alive or not. Raises `TopologyError`."""
        state = self.read()
        return state.processes.get(name) if state else None


def unwritable(path: Path, exc: OSError) -> TopologyError:
    """One sentence for a disk that does not take what must be written."""
    return TopologyError(
        f"{exc.filename or path} cannot be written ({exc.strerror}): "
        "free the disk, or choose another directory with --directory."
    )
