"""What is done to a release of the chart as its users do it: by `kubectl rollout` and `helm`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from guarita.drill.faults.base import Fault, Scene, Seconds, Undo, nothing_to_heal
from guarita.drill.targets.base import Power, Target
from guarita.errors import TopologyError

NO_RELEASE = "it is no release of the chart"


class OfARelease(Fault):
    """There must be one."""

    def lacks(self, target: Target) -> str | None:
        return target.lacks(Power.RELEASE)


@dataclass(frozen=True, slots=True)
class RollOut(OfARelease):
    """`kubectl rollout restart` of data nodes, Sentinels and the service, each awaited."""

    name: ClassVar[str] = "roll-out"
    for_s: Seconds | None = 0.0

    def inject(self, scene: Scene) -> Undo:
        release = scene.target.release()
        for part in release.parts():
            scene.tell(f"rollout restart of {part}")
            release.restart(part)
        return nothing_to_heal


@dataclass(frozen=True, slots=True)
class Upgrade(OfARelease):
    """`helm upgrade` with other values, and with those of before when that is over."""

    name: ClassVar[str] = "upgrade"
    values: Mapping[str, Any] = field(default_factory=dict)
    for_s: Seconds | None = None

    def inject(self, scene: Scene) -> Undo:
        release = scene.target.release()
        before = {path: release.value(path) for path in self.values}

        def back() -> None:
            scene.note(f"helm upgrade: {_words(before)}")
            release.upgrade(before)

        scene.tell(f"helm upgrade: {_words(self.values)}")
        try:
            release.upgrade(self.values)
        except TopologyError:  # such as where there are too few machines for more pods
            with suppress(TopologyError):
                back()
            raise
        return back


@dataclass(frozen=True, slots=True)
class Rotation(OfARelease):
    """`helm upgrade` that changes all passwords of data nodes and Sentinels."""

    name: ClassVar[str] = "rotation"
    for_s: Seconds | None = None

    def inject(self, scene: Scene) -> Undo:
        scene.tell("helm upgrade: other passwords")
        scene.target.release().upgrade({"secrets.rotation": f"drill of {time.time():.0f}"})
        return nothing_to_heal


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} = {value}" for path, value in values.items())
