"""What a fault must have led to, or a drill shows nothing of it: measured where a scenario asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from guarita.drill.faults.base import Scene


class Expected:
    """Looks on from before a fault until all is well again."""

    def __init__(self, scene: Scene) -> None:
        """Raises `TopologyError` where it cannot be told who follows."""
        self._scene = scene
        self._began_us = scene.clock.now_us
        self._replicas = scene.target.replicas() if "not_switched" in scene.bounds else ()
        self._unclear = scene.load.unclear_failures
        self._lost = scene.load.lost_answers
        scene.sampler.both_writable.forget()

    def measure(self) -> None:
        """All that the scenario has a bound for; without a unit: 0 where it was so, 1 where not."""
        scene = self._scene
        measures: Mapping[str, Callable[[], float]] = {
            "not_switched": lambda: not any(map(self._was_primary, self._replicas)),
            "never_loading": lambda: not self._since(scene.sampler.was_loading),
            "two_writable_s": lambda: scene.sampler.both_writable.longest_us / 1_000_000,
            "unclear": lambda: scene.load.unclear_failures - self._unclear,
            "no_answer_lost": lambda: scene.load.lost_answers == self._lost,
        }
        for name, value in measures.items():
            if name in scene.bounds:
                scene.measure(name, float(value()))

    def _was_primary(self, replica: str) -> bool:
        """Whether who followed before has been primary since."""
        return self._scene.sampler.was_primary.get(replica, -1) >= self._began_us

    def _since(self, times_us: Mapping[str, int]) -> bool:
        return any(at_us >= self._began_us for at_us in times_us.values())
