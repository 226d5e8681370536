"""Faults of who follows whom, and of the Sentinels that judge it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

from guarita.drill.faults.base import Fault, Scene, Seconds, Undo, nothing_to_heal
from guarita.drill.faults.stops import follows_named
from guarita.errors import TopologyError
from guarita.processes import wait_until

FailoverEvent: TypeAlias = Literal[
    "+elected-leader", "+failover-state-wait-promotion", "+switch-master"
]
EVENTS: tuple[FailoverEvent, ...] = get_args(FailoverEvent)
PRIMARY_NAME = "guarita"
ALONE_S = 3.0  # of writes that the first node to stop does not have
APART_S = 3.0  # between two starts of the worst order


@dataclass(frozen=True, slots=True)
class ForcedFailover(Fault):
    """SENTINEL FAILOVER, with the old primary alive."""

    name: ClassVar[str] = "forced-failover"
    for_s: Seconds | None = None

    def inject(self, scene: Scene) -> Undo:
        old = scene.target.primary()
        scene.tell("SENTINEL FAILOVER", old)
        wait_until(lambda: _switched(scene, old), timeout_s=60, pause_s=0.2)
        return nothing_to_heal


def _switched(scene: Scene, old: str) -> bool:
    """Refused while an earlier failover is not over for that Sentinel."""
    try:
        if scene.target.primary() != old:
            return True
        scene.target.command(scene.target.sentinels[0], "SENTINEL", "FAILOVER", PRIMARY_NAME)
        return wait_until(lambda: scene.target.primary() != old, timeout_s=5)
    except TopologyError:
        return False


@dataclass(frozen=True, slots=True)
class PauseUntil(Fault):
    """SIGSTOP the primary, and SIGCONT at an event of the failover (another each repetition)."""

    name: ClassVar[str] = "pause-until"
    event: FailoverEvent | None = None  # None: each in turn
    for_s: Seconds | None = 0.0

    def inject(self, scene: Scene) -> Undo:
        node = scene.target.primary()
        event = self.event or EVENTS[scene.number % len(EVENTS)]
        with scene.target.hear(event) as heard:
            scene.tell(f"SIGSTOP, until {event}", node)
            scene.target.pause(node)
            try:
                told = wait_until(heard, timeout_s=30, pause_s=0.001)
            finally:
                scene.target.resume(node)
        scene.measure("untold", 0 if told else 1)
        return nothing_to_heal


@dataclass(frozen=True, slots=True)
class Redirect(Fault):
    """A node is made a replica of another one, or of nobody, behind its agent's back."""

    name: ClassVar[str] = "redirect"
    who: str = "primary"
    to: str = "replica"  # "" is an address at which nobody is
    for_s: Seconds | None = 0.0

    def inject(self, scene: Scene) -> Undo:
        target, node = scene.target, scene.who(self.who)
        was_primary = node == target.primary()
        host, port = target.address(scene.who(self.to)) if self.to else ("127.0.0.1", 1)
        scene.tell(f"REPLICAOF {self.to or 'an address where nobody is'}", node)
        began_s = time.monotonic()
        target.command(node, "REPLICAOF", host, port)
        if was_primary:
            scene.time_until("primary_s", lambda: has_primary(scene), since_s=began_s)
        else:
            scene.time_until("put_right_s", lambda: _in_step(scene, node), since_s=began_s)
        return nothing_to_heal


@dataclass(frozen=True, slots=True)
class ResetThenKill(Fault):
    """SENTINEL RESET on all Sentinels, then kill -9 the primary; it stays dead until there is
    another one."""

    name: ClassVar[str] = "reset-then-kill"
    for_s: Seconds | None = 0.0

    def inject(self, scene: Scene) -> Undo:
        target, node = scene.target, scene.target.primary()
        scene.tell("SENTINEL RESET on all, then kill -9", node)
        for sentinel in target.sentinels:
            target.command(sentinel, "SENTINEL", "RESET", PRIMARY_NAME)
        began_s = time.monotonic()
        target.kill(node)
        scene.time_until("primary_s", lambda: has_primary(scene), since_s=began_s)
        target.start_node(node)
        return nothing_to_heal


@dataclass(frozen=True, slots=True)
class FullRestart(Fault):
    """All is stopped, the newest writer last, and started in the worst order."""

    name: ClassVar[str] = "full-restart"
    for_s: Seconds | None = 0.0

    def inject(self, scene: Scene) -> Undo:
        target = scene.target
        writer, (early, late) = target.primary(), target.replicas()
        scene.tell("SIGTERM to everything, the primary last", early)
        target.terminate(early)
        scene.served()
        scene.hold(ALONE_S)
        for name in (*target.sentinels, late, writer):
            target.terminate(name)
        target.start_node(early)
        scene.hold(APART_S)
        for name in target.sentinels:
            target.start_node(name)
        target.start_node(late)
        scene.hold(APART_S)
        began_s = time.monotonic()
        target.start_node(writer)
        scene.time_until("agree_s", lambda: target.obstacle() is None, since_s=began_s)
        return nothing_to_heal


@dataclass(frozen=True, slots=True)
class ScaleSentinels(Fault):
    """Sentinels 5 -> 3, and once the two are forgotten, kill -9 the primary."""

    name: ClassVar[str] = "scale-sentinels"
    for_s: Seconds | None = 0.0

    def inject(self, scene: Scene) -> Undo:
        target = scene.target
        scene.tell("two of five Sentinels are taken away")
        began_s = time.monotonic()
        target.drop_sentinels(2)
        scene.time_until("forgotten_s", lambda: _all_forgotten(scene), since_s=began_s)
        old, killed_s = target.primary(), time.monotonic()
        scene.tell("kill -9", old)
        target.kill(old)
        scene.time_until(
            "failover_s",
            lambda: target.primary() != old and has_primary(scene),
            since_s=killed_s,
        )
        return lambda: target.start_node(old)


def _all_forgotten(scene: Scene) -> bool:
    others = len(scene.target.sentinels) - 1
    return all(
        len(scene.target.command(name, "SENTINEL", "SENTINELS", PRIMARY_NAME)) == others
        for name in scene.target.sentinels
    )


def has_primary(scene: Scene) -> bool:
    """Whether the one that a majority names takes writes."""
    return scene.target.watcher(scene.target.primary())(0).writable


def _in_step(scene: Scene, node: str) -> bool:
    return follows_named(scene, node) and scene.target.watcher(node)(0).linked
