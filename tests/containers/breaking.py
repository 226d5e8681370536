"""One fault, done to what runs in containers under load, and the word of the drills' checker."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from guarita.config import Durability
from guarita.drill.check import Judgement
from guarita.drill.faults.base import Fault, Scene, Undo
from guarita.drill.run import Plan, Runner
from guarita.drill.scenarios import Scenario
from guarita.drill.targets.base import Shape, Target, Terms
from guarita.drill.targets.compose import ComposeTarget, layout_settings
from guarita.testing import (
    ClusterInstallation,
    Installation,
    SentinelInstallation,
    StandaloneInstallation,
)

RATE = 100.0
AROUND_S = 1.0  # of load before the fault, and after all is well again
LASTS_S = 6.0  # longer than a failover takes with the installations' down-after of 2 s
SETTINGS = layout_settings(Terms())
KINDS: dict[str, type[Installation]] = {
    "standalone": StandaloneInstallation,
    "sentinel": SentinelInstallation,
    "cluster": ClusterInstallation,
}

Do = Callable[[Installation], object]


@dataclass(frozen=True, slots=True)
class Called(Fault):
    """What a test does, and how it takes that away again."""

    name: ClassVar[str] = "called"
    words: str
    do: Callable[[], object]
    undo: Undo
    for_s: float | None

    def lacks(self, target: Target) -> str | None:
        return None

    def inject(self, scene: Scene) -> Undo:
        scene.tell(self.words)
        self.do()
        return self.undo


class Kept(ComposeTarget):
    """An installation that was there before, and is there afterwards."""

    def start(self) -> None:
        self.installation.wait_well()

    def end(self) -> None:
        pass


def judge(
    installation: Installation,
    directory: Path,
    words: str,
    do: Do,
    *,
    for_s: float | None = None,
    failed: int | None = 0,
) -> Judgement:
    """Do it to an installation under load, and have it judged.

    `for_s`: how long it lasts; None: until callers are served again.
    """
    shape = Shape(installation.topology, sentinels=len(installation.sentinels))
    fault = Called(words, lambda: do(installation), installation.heal, for_s)
    return judge_on(lambda: Kept(installation, shape), directory, fault, shape, failed=failed)


def judge_on(
    make: Callable[[], Target], directory: Path, fault: Called, shape: Shape, *, failed: int | None
) -> Judgement:
    """Record what every client was told, and have the drill's checker judge."""
    must_hold = "nothing lost, nothing double"
    scenario = Scenario("test", fault.words, must_hold, (fault,), failed=failed, shape=shape)
    seed = secrets.randbits(24)  # the same one would ask for the tickets of an earlier test
    plan = Plan(RATE, seed, Durability.BALANCED, directory, lead_s=AROUND_S, tail_s=AROUND_S)
    runner = Runner(plan, lambda _directory, _shape: make(), lambda *_words: None)
    [played] = runner.play([(scenario, 0)])
    return played.judgement
