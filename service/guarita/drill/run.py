"""Plays scenarios: installation, load, fault, heal, drain, a last look, and the verdict."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path

from guarita.config import Durability
from guarita.drill.check import Judgement, Verdict, check
from guarita.drill.clock import Clock
from guarita.drill.faults.base import Scene
from guarita.drill.faults.links import NEED_CUTS
from guarita.drill.history import Event, EventKind, Header, History, Measured, Phase
from guarita.drill.lines import Writer, read
from guarita.drill.report import Result
from guarita.drill.sampler import Sampler
from guarita.drill.scenarios import Scenario
from guarita.drill.targets import slow
from guarita.drill.targets.base import Shape, Target
from guarita.drill.workload.load import Load
from guarita.errors import TopologyError
from guarita.processes import wait_until

LEAD_S = 4.0  # of load before the fault
TAIL_S = 4.0  # of load after all is well again
WELL_WITHIN_S = 90.0
FORGOTTEN_S = 2.5  # what a service may remember of a session: the last look asks the store


@dataclass(frozen=True, slots=True)
class Plan:
    """How to play."""

    rate: float
    seed: int
    durability: Durability
    out: Path
    lead_s: float = LEAD_S
    tail_s: float = TAIL_S


@dataclass(frozen=True, slots=True)
class Played:
    """One drill: its history and what that shows."""

    scenario: Scenario
    number: int
    history: History
    judgement: Judgement
    directory: Path

    @property
    def is_good(self) -> bool:
        return Result(self.history.header, self.judgement).is_good


class Status(IntEnum):
    """What a command says of drills when it ends."""

    GOOD = 0  # valid; a negative control was found out
    BAD = 1
    UNTOLD = 2  # also where a negative control was not found out: the drill sees nothing


def status_of(result: Result) -> Status:
    """The status of a command that judged this."""
    if result.is_good:
        return Status.GOOD
    if result.header.control or result.judgement.verdict is Verdict.UNKNOWN:
        return Status.UNTOLD
    return Status.BAD


def why_not(scenario: Scenario, durability: str, without_network: str | None) -> str | None:
    """Why it does not apply to processes of this machine, in words; None where it does."""
    if not scenario.control and durability not in scenario.durabilities:
        return f"it says nothing about durability {durability}"
    if without_network and any(isinstance(each, NEED_CUTS) for each in scenario.faults):
        return without_network
    return slow.lacking(scenario.shape)


Say = Callable[[str], None]
MakeTarget = Callable[[Path, Shape], Target]


class Runner:
    """Plays one drill after another; an installation is used for as many as it is right for."""

    def __init__(self, plan: Plan, make_target: MakeTarget, say: Say) -> None:
        self._plan = plan
        self._make_target = make_target
        self._say = say
        self._target: Target | None = None
        self._installation = 0

    def play(self, scenarios: list[tuple[Scenario, int]]) -> Iterator[Played]:
        """Yield each drill as it ends. Raises `TopologyError` where one cannot be played."""
        try:
            for index, (scenario, number) in enumerate(scenarios):
                played = self._play_one(scenario, number, index)
                if scenario.fresh or scenario.control or not played.is_good:
                    self._end_target(keep=not played.is_good)
                yield played
        except BaseException:
            self._end_target(keep=True)
            raise
        self._end_target()

    def _target_for(self, scenario: Scenario) -> Target:
        shape = scenario.shape
        if not scenario.control:
            shape = replace(shape, durability=self._plan.durability)
        if self._target is not None and self._target.shape != shape:
            self._end_target()
        if self._target is None:
            self._installation += 1
            directory = self._plan.out / f"installation-{self._installation}"
            self._target = self._make_target(directory, shape)
            self._say("starting the installation")
            self._target.start()
        return self._target

    def _end_target(self, *, keep: bool = False) -> None:
        """`keep` its files: a drill on it did not come out as it must."""
        if self._target is not None:
            self._target.end()
            self._target = None
            if not keep:
                directory = self._plan.out / f"installation-{self._installation}"
                shutil.rmtree(directory, ignore_errors=True)

    def _play_one(self, scenario: Scenario, number: int, index: int) -> Played:
        target = self._target_for(scenario)
        for fault in scenario.faults:
            if reason := fault.lacks(target):
                raise TopologyError(f"{scenario.id} cannot be played here: {reason}")
        directory = self._plan.out / f"{scenario.id}-{number + 1}"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "history.jsonl"
        seed = self._plan.seed + index
        with Writer(path, header_of(scenario, target, self._plan, seed)) as writer:
            drill = _Drill(scenario, target, writer, self._plan, seed, number, self._say)
            drill.play()
        self._say("checking")
        history = read(path)
        return Played(scenario, number, history, check(history), directory)


class _Drill:
    """One drill while it is played."""

    def __init__(
        self,
        scenario: Scenario,
        target: Target,
        writer: Writer,
        plan: Plan,
        seed: int,
        number: int,
        say: Say,
    ) -> None:
        self._scenario = scenario
        self._target = target
        self._writer = writer
        self._plan = plan
        self._say = say
        self._clock = Clock()
        self._load = Load(
            target.places,
            self._clock,
            writer,
            rate=plan.rate,
            seed=seed,
            api_key=target.api_key,
        )
        self._sampler = Sampler(target, self._clock, writer)
        self._scene = Scene(
            target,
            self._load,
            self._sampler,
            self._clock,
            writer,
            number,
            scenario.at_most,
        )

    def play(self) -> None:
        """Raises `TopologyError` where the installation was not well to begin with."""
        self._say("waiting for a settled installation")
        self._target.wait_settled()
        self._clock.start()
        self._sampler.start()
        self._load.start()
        try:
            self._phase(Phase.LOAD)
            self._say("load")
            time.sleep(self._plan.lead_s)
            self._load.wait_steady(30)
            self._health()
            self._break_and_heal()
            self._say("load after the fault")
            time.sleep(self._plan.tail_s)
            self._load.stop_asking()
            self._phase(Phase.DRAIN)
            self._say("waiting for the last answers")
            self._load.drain()
            time.sleep(FORGOTTEN_S)
            self._phase(Phase.LOOK)
            self._say(f"asking for {self._load.acknowledged} tickets once more")
            failed_tries = self._load.failed_tries
            self._load.look()
            at_most = 0 if self._scenario.failed == 0 else None
            self._writer.write(Measured("failed_tries", failed_tries, at_most))
        finally:
            self._load.close()
            self._sampler.stop()
            self._phase(Phase.END)

    def _break_and_heal(self) -> None:
        for fault in self._scenario.faults:
            self._say(f"fault: {fault.name}")
            try:
                undo = fault.inject(self._scene)
            except TopologyError as exc:  # half done: it counts as no fault at all
                self._scene.note(f"the fault failed: {exc}")
                self._target.restore()
                continue
            if fault.for_s is None:
                self._scene.served()
            else:
                time.sleep(fault.for_s)
            try:
                undo()
            except TopologyError as exc:  # the installation is seen not to be well again
                self._scene.note(f"{fault.name} could not be healed: {exc}")
            self._scene.healed(f"{fault.name} is over")
        self._say("waiting for health")
        self._scene.served()
        began_s = time.monotonic()
        wait_until(lambda: self._target.obstacle() is None, timeout_s=WELL_WITHIN_S, pause_s=0.1)
        self._health()
        self._scene.measure("well_s", time.monotonic() - began_s)
        for look in self._scene.afterwards:
            look()

    def _health(self) -> None:
        self._event(EventKind.HEALTH, self._target.obstacle() or "")

    def _phase(self, phase: Phase) -> None:
        at_us = 0 if phase is Phase.LOAD else self._clock.now_us
        self._writer.write(Event(at_us, EventKind.PHASE, phase))

    def _event(self, kind: EventKind, text: str) -> None:
        self._writer.write(Event(self._clock.now_us, kind, text))


def header_of(scenario: Scenario, target: Target, plan: Plan, seed: int) -> Header:
    """What a history says of itself."""
    shape = target.shape
    return Header(
        scenario=scenario.id,
        title=scenario.title,
        target=target.name,
        topology=shape.topology,
        durability=str(shape.durability),
        nodes=target.nodes,
        sentinels=target.sentinels,
        seed=seed,
        rate=plan.rate,
        ticket_ttl_s=target.terms.ticket_ttl_s,
        session_ttl_s=target.terms.session_ttl_s,
        replay_window_s=target.terms.replay_window_s,
        verify_age_s=target.terms.cache_age_s,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=f"{platform.system()} {platform.machine()}",
        versions={**target.versions(), "python": platform.python_version()},
        control=scenario.control,
        pause_at_most_s=scenario.pause_s,
        failed_at_most=scenario.failed,
        command=(
            f"guarita drill run {scenario.id} --seed {seed} --rate {plan.rate:g}"
            f" --durability {plan.durability}"
        ),
    )
