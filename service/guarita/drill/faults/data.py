"""Faults of what a node has on its disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from guarita.drill.faults.base import Fault, Scene, Seconds, Undo, nothing_to_heal
from guarita.drill.targets.base import Power, Target
from guarita.errors import TopologyError

DAMAGED_BYTES = 1024  # more than one change, so that where they begin is lost
# What the files of a node are, beside its data.
_NOT_DATA = ("agent.yaml", "server.conf", "*.log")


@dataclass(frozen=True, slots=True)
class RestartEmpty(Fault):
    """kill -9 a node, and start it at once with an empty directory."""

    name: ClassVar[str] = "restart-empty"
    who: str = "primary"
    for_s: Seconds | None = 0.0

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.FILES)

    def inject(self, scene: Scene) -> Undo:
        node = scene.who(self.who)
        scene.tell("kill -9, and started with an empty directory", node)
        _come_back(scene, node, lambda: _wipe(scene.target.directory(node)))
        return nothing_to_heal


@dataclass(frozen=True, slots=True)
class RestartWithoutTail(Fault):
    """kill -9 a node, and start it at once without the last seconds of its AOF."""

    name: ClassVar[str] = "restart-without-tail"
    who: str = "primary"
    tail_s: Seconds = 1.5
    for_s: Seconds | None = 0.0

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.FILES)

    def inject(self, scene: Scene) -> Undo:
        node = scene.who(self.who)
        directory = scene.target.directory(node)
        size = aof_of(directory).stat().st_size
        scene.hold(self.tail_s)
        scene.tell(f"kill -9, and started without the last {self.tail_s:g} s of its AOF", node)
        _come_back(scene, node, lambda: os.truncate(aof_of(directory), size))
        return nothing_to_heal


@dataclass(frozen=True, slots=True)
class DamagedAof(Fault):
    """kill -9 a node, and start it with some bytes in the midst of its AOF overwritten."""

    name: ClassVar[str] = "damaged-aof"
    who: str = "replica"
    for_s: Seconds | None = None

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.FILES)

    def inject(self, scene: Scene) -> Undo:
        node = scene.who(self.who)
        directory = scene.target.directory(node)
        scene.tell("kill -9, and started with a damaged AOF", node)
        scene.target.kill(node)
        path = aof_of(directory)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            file.write(b"\xff" * DAMAGED_BYTES)
        damaged = path.read_bytes()
        try:
            scene.target.start_node(node)
        except TopologyError as exc:
            scene.note(str(exc), node)

        def look() -> None:
            kept = any(each.read_bytes() == damaged for each in directory.rglob("*.incr.aof"))
            scene.measure("copies_gone", 0 if kept else 1)

        scene.afterwards.append(look)
        return lambda: scene.target.start_node(node)


@dataclass(frozen=True, slots=True)
class FullDisk(Fault):
    """The disk of a node is full until that is over."""

    name: ClassVar[str] = "full-disk"
    who: str = "primary"
    for_s: Seconds | None = 8.0

    def lacks(self, target: Target) -> str | None:
        if target.shape.small_disk:
            return target.lacks(Power.FILES)
        return "nodes have no small disk of their own here"

    def inject(self, scene: Scene) -> Undo:
        node = scene.who(self.who)
        filler = scene.target.directory(node) / "filler"
        scene.tell("its disk is full", node)
        with filler.open("wb", buffering=0) as file:
            block = b"\0" * 65_536
            try:
                while file.write(block):
                    pass
            except OSError as exc:
                scene.note(f"{exc.strerror}", node)

        def heal() -> None:
            filler.unlink()
            scene.target.start_node(node)

        return heal


def aof_of(directory: Path) -> Path:
    """The file to which the node appends."""
    return max(directory.rglob("*.incr.aof"), key=lambda path: path.stat().st_mtime)


def _come_back(scene: Scene, node: str, change: Callable[[], None]) -> None:
    scene.target.kill(node)
    change()
    started_us = scene.clock.now_us
    scene.target.start_node(node)

    def look() -> None:
        said_us = scene.sampler.was_primary.get(node, -1)
        scene.measure("as_primary", 1 if said_us > started_us else 0)

    scene.afterwards.append(look)


def _wipe(directory: Path) -> None:
    for path in list(directory.iterdir()):
        if any(path.match(pattern) for pattern in _NOT_DATA):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
