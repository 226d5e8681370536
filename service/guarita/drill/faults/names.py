"""Faults of names: those of nodes are gone, come late, or nobody answers for them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from guarita.drill.faults.base import Fault, Scene, Undo
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
    spoilt_s: float = 5.0  # before the kill
    for_s: float | None = None

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
