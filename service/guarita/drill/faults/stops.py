"""Faults in which a process ends or stands still."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from guarita.drill.faults.base import NEVER, Fault, Scene, Seconds, Undo, Words, nothing_to_heal
from guarita.drill.history import Role
from guarita.errors import TopologyError
from guarita.processes import wait_until

UNWRITTEN_WITHIN_S = 15.0
TILT_WITHIN_S = 5.0  # of a Sentinel that goes on: it looks ten times a second


@dataclass(frozen=True, slots=True)
class Kill(Fault):
    """kill -9 a node, its agent too; it is started again with its data when that is over."""

    name: ClassVar[str] = "kill"
    who: str = "primary"
    for_s: Seconds | None = 0.0
    server_only: bool = False  # its agent lives, and starts it again
    unwritten_s: Seconds = 0.0  # when its append-only file lacks what it has done for so long

    def inject(self, scene: Scene) -> Undo:
        node = scene.who(self.who)
        if self.unwritten_s:
            _wait_unwritten(scene, node, self.unwritten_s)
        scene.tell(f"kill -9 {'the server alone' if self.server_only else ''}".strip(), node)
        scene.target.kill(node, server_only=self.server_only)

        def start() -> None:
            if not self.server_only:
                scene.target.start_node(node)

        return start


@dataclass(frozen=True, slots=True)
class Terminate(Fault):
    """SIGTERM to a node; it is started again when that is over."""

    name: ClassVar[str] = "terminate"
    who: str = "primary"
    for_s: Seconds | None = None

    def inject(self, scene: Scene) -> Undo:
        node = scene.who(self.who)
        scene.tell("SIGTERM", node)
        try:
            stopped_s = scene.target.terminate(node)
        except TopologyError as exc:  # that it does not stop is what was to be seen
            scene.note(str(exc), node)
            stopped_s = NEVER
        scene.measure("stopped_s", stopped_s)
        if "not_handed_over" in scene.bounds:
            scene.measure("not_handed_over", 0 if _other_primary(scene, node) else 1)
        return lambda: scene.target.start_node(node)


@dataclass(frozen=True, slots=True)
class Pause(Fault):
    """SIGSTOP a node, and SIGCONT when that is over."""

    name: ClassVar[str] = "pause"
    who: str = "primary"
    for_s: Seconds | None = 4.0  # longer than down-after (1 s) and a failover (2.2 s)
    server_only: bool = False

    def inject(self, scene: Scene) -> Undo:
        node = scene.who(self.who)
        scene.tell("SIGSTOP", node)
        scene.target.pause(node, server_only=self.server_only)

        def resume() -> None:
            resumed_s = time.monotonic()
            scene.target.resume(node, server_only=self.server_only)
            if "rejoined_s" in scene.bounds:
                scene.time_until(
                    "rejoined_s", lambda: follows_named(scene, node), since_s=resumed_s
                )

        return resume


@dataclass(frozen=True, slots=True)
class FreezeThenKill(Fault):
    """SIGSTOP a node for some seconds, then kill -9; it is started when callers are served."""

    name: ClassVar[str] = "freeze-then-kill"
    who: str = "replica"
    frozen_s: Seconds = 5.0
    for_s: Seconds | None = None

    def inject(self, scene: Scene) -> Undo:
        node = scene.who(self.who)
        scene.tell("SIGSTOP", node)
        scene.target.pause(node)
        scene.hold(self.frozen_s)
        scene.tell("kill -9", node)
        scene.target.kill(node)
        return lambda: scene.target.start_node(node)


@dataclass(frozen=True, slots=True)
class KillSeveral(Fault):
    """kill -9 several nodes at once; they are started again with their data when that is over."""

    name: ClassVar[str] = "kill-several"
    who: Words = ("primary", "replica")
    for_s: Seconds | None = 12.0

    def inject(self, scene: Scene) -> Undo:
        nodes = scene.group(self.who)
        for node in nodes:
            scene.tell("kill -9", node)
            scene.target.kill(node)

        def start() -> None:
            for node in nodes:
                scene.target.start_node(node)

        return start


@dataclass(frozen=True, slots=True)
class PauseSeveral(Fault):
    """SIGSTOP several nodes at once, and SIGCONT when that is over."""

    name: ClassVar[str] = "pause-several"
    who: Words = ("sentinel 1", "sentinel 2")
    for_s: Seconds | None = 3.0

    def inject(self, scene: Scene) -> Undo:
        nodes = scene.group(self.who)
        for node in nodes:
            scene.tell("SIGSTOP", node)
            scene.target.pause(node)

        def resume() -> None:
            known = {node: len(scene.target.log(node)) for node in nodes}
            for node in nodes:
                scene.target.resume(node)
            if "no_tilt" in scene.bounds:
                told = wait_until(lambda: _all_tilt(scene, known), timeout_s=TILT_WITHIN_S)
                scene.measure("no_tilt", 0 if told else 1)

        return resume


@dataclass(frozen=True, slots=True)
class RollingRestart(Fault):
    """SIGTERM to every node, one after another, each started again and awaited."""

    name: ClassVar[str] = "rolling-restart"
    for_s: Seconds | None = 0.0

    def inject(self, scene: Scene) -> Undo:
        target = scene.target
        began_s = time.monotonic()
        try:
            for node in (*target.nodes, *target.sentinels):
                scene.tell("SIGTERM, and start", node)
                target.terminate(node)
                target.start_node(node)
                target.wait_settled()
            restarted_s = time.monotonic() - began_s
        except TopologyError as exc:  # that it does not settle is what was to be seen
            scene.note(str(exc))
            restarted_s = NEVER
        scene.measure("restarted_s", restarted_s)
        return nothing_to_heal


def _other_primary(scene: Scene, node: str) -> bool:
    """Whether another node says that it is primary."""
    others = [each for each in scene.target.nodes if each != node]
    return any(scene.target.watcher(each)(0).role is Role.PRIMARY for each in others)


def _all_tilt(scene: Scene, known: Mapping[str, int]) -> bool:
    """Whether each of these Sentinels has said so since its log was as long as that."""
    return all("+tilt" in scene.target.log(node)[length:] for node, length in known.items())


def follows_named(scene: Scene, node: str) -> bool:
    """Whether it is a replica of the one that a majority names."""
    sample = scene.target.watcher(node)(0)
    return sample.names is not None and sample.names == scene.target.primary()


def _wait_unwritten(scene: Scene, node: str, for_s: float) -> None:
    """Until a server holds back what it appends to its file, and has for so long.

    With `everysec` it does while an fsync lasts, for two seconds at most (`flushAppendOnlyFile`).
    Raises `TopologyError`.
    """
    held_at: int | None = None  # how long the file was when it was first seen to hold back
    since_s = time.monotonic()

    def is_behind() -> bool:
        nonlocal held_at, since_s
        info = scene.target.command(node, "INFO", "persistence")
        # What came with this question is not written yet either: only a file that has not grown
        # when the next is asked was held back.
        size = info["aof_current_size"] if info.get("aof_buffer_length") else None
        now_s = time.monotonic()
        if size is None or size != held_at:
            held_at, since_s = size, now_s
        return held_at is not None and now_s - since_s >= for_s

    if not wait_until(is_behind, timeout_s=UNWRITTEN_WITHIN_S, pause_s=0.01):
        raise TopologyError(
            f"{node} never held back for {for_s:g} s what it appends to its file: only one with "
            "an append-only file, on a disk whose fsync takes longer than that, does"
        )
