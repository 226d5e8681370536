"""Faults of names and of the addresses behind them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from guarita.drill.faults.base import Fault, Scene, Seconds, Undo, Words, nothing_to_heal
from guarita.drill.faults.roles import has_primary
from guarita.drill.targets.base import Power, Spoilt, Target


@dataclass(frozen=True, slots=True)
class SpoilNames(Fault):
    """Names are spoilt, and some seconds later a node is killed with -9; both heal together."""

    name: ClassVar[str] = "spoil-names"
    who: str = "primary"  # is killed
    gone: tuple[str, ...] = ()
    late_ms: int = 0
    silent: bool = False
    spoilt_s: Seconds = 5.0  # before the kill
    for_s: Seconds | None = None

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.NAMES)

    def inject(self, scene: Scene) -> Undo:
        target, node = scene.target, scene.who(self.who)
        gone = scene.group(self.gone)
        scene.tell(self._words(gone))
        target.spoil_names(Spoilt(tuple(gone), self.late_ms, self.silent))
        scene.hold(self.spoilt_s)
        scene.tell("kill -9", node)
        killed_s = time.monotonic()
        target.kill(node)
        scene.time_until(
            "failover_s",
            lambda: target.primary() != node and has_primary(scene),
            since_s=killed_s,
        )

        def heal() -> None:
            target.mend()
            target.start_node(node)

        return heal

    def _words(self, gone: list[str]) -> str:
        if self.silent:
            return "no question for a name is answered"
        late = [f"names are told {self.late_ms} ms late"] if self.late_ms else []
        lost = [f"{', '.join(gone)} cannot be resolved"] if gone else []
        return "; ".join([*late, *lost])


@dataclass(frozen=True, slots=True)
class SwapAddresses(Fault):
    """kill -9 nodes here and in the installation beside it, swap their addresses, start them."""

    name: ClassVar[str] = "swap-addresses"
    who: Words = ("primary",)
    stale_s: Seconds = 0.0  # so long the names of these are not found, and keep their old addresses
    for_s: Seconds | None = 0.0

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.NEIGHBOUR)

    def inject(self, scene: Scene) -> Undo:
        # The primary is another node there.
        who = ("primary",) if self.who == ("primary",) else tuple(scene.group(self.who))
        scene.tell(f"the addresses of {', '.join(who)} and of another installation's are swapped")
        if self.stale_s:
            scene.target.spoil_names(Spoilt(gone=tuple(scene.group(self.who))))
        scene.target.swap_addresses(who)
        scene.hold(self.stale_s)
        scene.target.mend()
        scene.afterwards.append(lambda: self._measure(scene))
        return nothing_to_heal

    def _measure(self, scene: Scene) -> None:
        for name, count in scene.target.mingled().items():
            scene.measure(name, count)
