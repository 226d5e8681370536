"""Faults of the network: links that are cut, lose packets, or lose answers."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field, NonNegativeInt

from guarita.drill.faults.base import Fault, Scene, Seconds, Undo, Words, nothing_to_heal
from guarita.drill.targets.base import Power, Target
from guarita.errors import TopologyError

CUT_S = 8.0  # longer than a failover, and than a Sentinel's patience: the sides forget each other
WATCHED_S = 8.0
DROP_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Isolate(Fault):
    """Nothing passes between some nodes and services and others."""

    name: ClassVar[str] = "isolate"
    some: Words = ("primary",)
    others: Words = ("replicas", "sentinels")
    for_s: Seconds | None = CUT_S
    one_way: bool = False

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.CUT)

    def inject(self, scene: Scene) -> Undo:
        some, others = scene.group(self.some), scene.group(self.others)
        way = "passes from" if self.one_way else "passes between"
        scene.tell(
            f"nothing {way} {', '.join(some)} {'to' if self.one_way else 'and'} "
            f"{', '.join(others)}",
            some[0],
        )
        scene.note(f"{scene.target.cut(some, others, one_way=self.one_way)}, from now on")
        return scene.target.mend


@dataclass(frozen=True, slots=True)
class LossyNetwork(Fault):
    """Packets between services and nodes are lost, and late where the machine can do that."""

    name: ClassVar[str] = "lossy-network"
    some: Words = ("services",)
    others: Words = ("nodes", "sentinels")
    loss_percent: Annotated[int, Field(ge=0, le=100)] = 5
    delay_ms: NonNegativeInt = 50
    for_s: Seconds | None = 15.0

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.LOSE)

    def inject(self, scene: Scene) -> Undo:
        some, others = scene.group(self.some), scene.group(self.others)
        scene.tell(
            f"{self.loss_percent} of 100 packets are lost, others are to come {self.delay_ms} ms "
            f"late, between {', '.join(some)} and {', '.join(others)}"
        )
        reason = scene.target.slow(
            some, others, loss_percent=self.loss_percent, delay_ms=self.delay_ms
        )
        if reason:
            scene.note(f"no packet comes late, this machine cannot do that: {reason}")

        def heal() -> None:
            lost = scene.target.lost_packets()
            scene.note(f"{lost} packets were lost")
            scene.measure("no_packet_lost", 0 if lost else 1)
            scene.target.mend()

        return heal


@dataclass(frozen=True, slots=True)
class LoseAnswers(Fault):
    """Answers to redeems do not arrive, and the primary hangs up on all callers again and again."""

    name: ClassVar[str] = "lose-answers"
    share: Annotated[float, Field(ge=0, le=1)] = 0.3
    for_s: Seconds | None = 8.0

    def inject(self, scene: Scene) -> Undo:
        scene.tell(f"{self.share:.0%} of the answers to redeems do not reach their page")
        scene.load.lose_answers(self.share)
        over, hung_up = threading.Event(), threading.Event()
        dropping = threading.Thread(target=_hang_up, args=(scene, over, hung_up), daemon=True)
        dropping.start()

        def heal() -> None:
            over.set()
            dropping.join()
            scene.load.lose_answers(0.0)
            scene.measure("no_hang_up", 0 if hung_up.is_set() else 1)

        return heal


def _hang_up(scene: Scene, over: threading.Event, hung_up: threading.Event) -> None:
    while not over.wait(DROP_EVERY_S):
        try:
            primary = scene.target.primary()
            if scene.target.command(primary, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"):
                hung_up.set()
        except TopologyError as exc:
            scene.note(str(exc))


@dataclass(frozen=True, slots=True)
class IsolatedRestart(Fault):
    """A node is killed and started while it can reach nobody: it must not take writes."""

    name: ClassVar[str] = "isolated-restart"
    who: str = "node-1"
    for_s: Seconds | None = 0.0

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.CUT)

    def inject(self, scene: Scene) -> Undo:
        target, node = scene.target, scene.who(self.who)
        others = [each for each in (*target.nodes, *target.sentinels) if each != node]
        scene.tell("reaches nobody, is killed and started", node)
        scene.note(f"{target.cut([node], [*others, *scene.group(('services',))])}, from now on")
        target.kill(node)
        known = len(target.log(node))
        target.start_node(node)
        writes, end_s = 0, time.monotonic() + WATCHED_S
        while time.monotonic() < end_s:
            writes += _takes_a_write(scene, node)
            scene.hold(0.1)
        words = [line for line in target.log(node)[known:].splitlines() if "boot waits" in line]
        scene.measure("writes_taken", writes)
        scene.measure("silent", 0 if words else 1)
        if words:
            scene.note(words[-1], node)
        target.mend()
        return nothing_to_heal


def _takes_a_write(scene: Scene, node: str) -> int:
    try:
        return int(bool(scene.target.command(node, "SET", "guarita-probe", 1, timeout_s=0.5)))
    except TopologyError:
        return 0


NEED_CUTS = (Isolate, IsolatedRestart)
NEED_LOSSES = (LossyNetwork,)
