"""Repetitions: health, load, one scenario, heal, drain, and the verdict against its bounds."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from guarita.errors import TopologyError
from guarita.topology.local import LocalSentinel

from .counting import Figures, figures_of
from .load import Load
from .sampler import Sampler, changes, two_writable_s
from .scenarios import Scenario
from .stage import (
    STEADY_WITHIN_S,
    Service,
    Stage,
    lower_installation,
    raise_installation,
    wait_settled,
)

_TROUBLE = (TopologyError, redis.RedisError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play, how often and on what."""

    names: tuple[str, ...]
    repeat: int = 1
    durability: str = "balanced"
    agents: bool = True
    minutes: float = 0.0


@dataclass(frozen=True, slots=True)
class Repetition:
    """One repetition and what it showed; `missed` is empty where every bound held."""

    scenario: str
    number: int
    durability: str
    began: str
    figures: Figures | None  # None where the end could not be looked at
    measured: dict[str, float]
    missed: tuple[str, ...]
    notes: tuple[str, ...]
    directory: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Runner:
    """Uses an installation for as many repetitions as it stands."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self._plan = plan
        self._directory = directory
        self._number = itertools.count()
        self._standing: tuple[LocalSentinel, Service] | None = None
        self._unspoiled: Path | None = None  # files of an installation that nobody needs

    def run(self, scenarios: dict[str, Scenario]) -> Iterator[Repetition]:
        """Yield each repetition as it ends."""
        try:
            for name in self._plan.names:
                for number in range(self._plan.repeat):
                    each = self._repetition(name, scenarios[name], number)
                    if each.missed:
                        self._unspoiled = None
                    if scenarios[name].fresh or each.missed:
                        self._lower()
                    yield each
        finally:
            self._lower()

    def _installation(self, scenario: Scenario) -> tuple[LocalSentinel, Service]:
        if self._standing and type(self._standing[0]) is not scenario.kind:
            self._lower()
        if self._standing is None:
            directory = self._directory / f"installation-{next(self._number)}"
            self._standing = raise_installation(
                directory,
                agents=self._plan.agents,
                durability=self._plan.durability,
                kind=scenario.kind,
            )
            self._unspoiled = directory
        return self._standing

    def _lower(self) -> None:
        """End the installation; its files stay where a bound was missed on it."""
        if self._standing:
            lower_installation(*self._standing)
            self._standing = None
        if self._unspoiled:
            shutil.rmtree(self._unspoiled, ignore_errors=True)
            self._unspoiled = None

    def _repetition(self, name: str, scenario: Scenario, number: int) -> Repetition:
        sentinel, service = self._installation(scenario)
        wait_settled(sentinel)
        load, sampler = Load(service.port), Sampler(sentinel)
        plan = self._plan
        stage = Stage(sentinel, service, plan.agents, load, sampler, number, plan.minutes)
        sampler.start()
        load.start()
        began, began_s = datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic()
        missed, figures = [], None
        try:
            load.wait_steady(STEADY_WITHIN_S, since_s=began_s)
            began, began_s = datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic()
            scenario.play(stage)
            stage.ready()
        except _TROUBLE as exc:
            missed.append(f"{type(exc).__name__}: {exc}")
        try:
            load.stop()
            figures = figures_of(load.history())
        except TimeoutError as exc:
            missed.append(f"the end: {exc}")
        load.close()
        samples = sampler.stop()
        stage.measured |= {"two_writable_s": two_writable_s(samples), "load_cpu_s": load.cpu_s}
        missed += _missed(scenario, figures, stage.measured)
        roles = (f"{at_s - began_s:+7.2f} s {words}" for at_s, words in changes(samples))
        evidence = figures.evidence[:10] if figures else ()
        return Repetition(
            name,
            number,
            plan.durability,
            began,
            figures,
            stage.measured,
            tuple(missed),
            (*stage.notes, *evidence, *roles),
            str(sentinel.directory),
        )


def _missed(
    scenario: Scenario, figures: Figures | None, measured: dict[str, float]
) -> Iterator[str]:
    """The bounds that do not hold, in words."""
    if figures is not None:
        limits = {"lost": 0, "double": 0, "wrong": 0}
        limits |= {"failed": scenario.failed, "pause_s": scenario.pause_s}
        for name, limit in limits.items():
            if limit is not None and getattr(figures, name) > limit:
                yield f"{name} {getattr(figures, name):.5g} > {limit:g}"
    for name, limit in scenario.measured.items():
        if name not in measured:
            yield f"{name} was not measured"
        elif measured[name] > limit:
            yield f"{name} {measured[name]:.3g} > {limit:g}"
