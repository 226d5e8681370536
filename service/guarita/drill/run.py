"""Plays drills one after another, each on an installation that is right for it, and judges them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import count
from pathlib import Path

from guarita.drill.check import Judgement, Verdict, check
from guarita.drill.faults.links import NEED_CUTS, NEED_LOSSES
from guarita.drill.faults.release import NO_RELEASE, OfARelease
from guarita.drill.history import History
from guarita.drill.lines import Writer, no_collection, read
from guarita.drill.playing import Drill, Plan, Say, Stopped, header_of
from guarita.drill.report import Result
from guarita.drill.scenarios import Scenario
from guarita.drill.targets import certificates, names, proxies, slow
from guarita.drill.targets.base import Shape, Target
from guarita.errors import TopologyError


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


@dataclass(frozen=True, slots=True)
class NotPlayed:
    """One of several drills that could not be played, and why."""

    scenario: Scenario
    number: int
    reason: str


class Status(IntEnum):
    """What a command says of drills when it ends."""

    GOOD = 0  # valid; a negative control was found out
    BAD = 1
    UNTOLD = 2  # also where a negative control was not found out: the drill sees nothing
    NOT_RUN = 3


def status_of(result: Result) -> Status:
    """The status of a command that judged this."""
    if result.is_good:
        return Status.GOOD
    if result.header.control or result.judgement.verdict is Verdict.UNKNOWN:
        return Status.UNTOLD
    return Status.BAD


def lacking(scenario: Scenario, without_network: str | None) -> str | None:
    """Why it does not apply to processes of this machine, in words; None where it does."""
    if any(isinstance(each, OfARelease) for each in scenario.faults):
        return NO_RELEASE
    return (
        (_lacking_network(scenario, without_network) if without_network else None)
        or scenario.not_here
        or slow.lacking(scenario.shape)
        or certificates.lacking(scenario.shape)
        or names.lacking(scenario.shape)
    )


def _lacking_network(scenario: Scenario, reason: str) -> str | None:
    """Where there is none: cuts alone can be made otherwise."""
    faults = [each for part in scenario.parts for each in part.faults]
    shape = scenario.shape
    if shape.small_disk or shape.names or any(isinstance(each, NEED_LOSSES) for each in faults):
        return reason
    if any(isinstance(each, NEED_CUTS) for each in faults):
        without_proxies = proxies.lacking(shape)
        return f"{reason}; {without_proxies}" if without_proxies else None
    return None


def silent_on(scenario: Scenario, durability: str) -> str | None:
    """In words, that a scenario says nothing about this durability; None where it does."""
    if scenario.control or durability in scenario.durabilities:
        return None
    return f"it says nothing about durability {durability}"


def why_not(scenario: Scenario, durability: str, without_network: str | None) -> str | None:
    """Either of them."""
    return silent_on(scenario, durability) or lacking(scenario, without_network)


def judge(path: Path) -> tuple[History, Judgement]:
    """What a file of history shows. Raises `HistoryError`."""
    with no_collection():
        history = read(path)
        return history, check(history)


MakeTarget = Callable[[Path, Shape], Target]


class Runner:
    """Plays one drill after another; an installation is used for as many as it is right for."""

    def __init__(self, plan: Plan, make_target: MakeTarget, say: Say) -> None:
        self._plan = plan
        self._make_target = make_target
        self._say = say
        self._target: Target | None = None
        self._directory = plan.out
        self._is_playing = False
        self._drill: Drill | None = None
        self.is_stopped = False

    def stop(self) -> None:
        """From a signal handler: end what is played now, judge what there is, play no more."""
        if not self.is_stopped:
            self.is_stopped = True
            if self._drill:
                self._drill.stop()
            elif self._is_playing:
                raise Stopped

    def play(self, scenarios: Sequence[tuple[Scenario, int]]) -> Iterator[Played | NotPlayed]:
        """Yield each drill as it ends.

        Raises `TopologyError` where the first cannot be played: that is in the way of all.
        """
        try:
            for index, (scenario, number) in enumerate(scenarios):
                if self.is_stopped:
                    break
                try:
                    played = self._play_one(scenario, number, index)
                except TopologyError as exc:
                    if not index:
                        raise
                    self._end_target(keep=True)
                    yield NotPlayed(scenario, number, str(exc))
                    continue
                if played is None:
                    break
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
            self._directory = self._unused()
            self._target = self._make_target(self._directory, shape)
            self._say("starting the installation")
            self._target.start()
        return self._target

    def _unused(self) -> Path:
        """What an earlier one left is looked at by who plays, and no part of this one."""
        numbers = (self._plan.out / f"installation-{number}" for number in count(1))
        return next(each for each in numbers if not each.exists())

    def _end_target(self, *, keep: bool = False) -> None:
        """`keep` its files: a drill on it did not come out as it must."""
        if self._target is not None:
            self._target.end()
            self._target = None
            if not keep:
                shutil.rmtree(self._directory, ignore_errors=True)

    def _play_one(self, scenario: Scenario, number: int, index: int) -> Played | None:
        """None where it was stopped before its load began."""
        directory = self._plan.out / f"{scenario.id}-{number + 1}"
        path = directory / "history.jsonl"
        drill = None
        try:
            self._is_playing = True
            target = self._target_for(scenario)
            for fault in (fault for part in scenario.parts for fault in part.faults):
                if reason := fault.lacks(target):
                    raise TopologyError(f"{scenario.id} cannot be played here: {reason}")
            directory.mkdir(parents=True, exist_ok=True)
            seed = self._plan.seed + index
            with Writer(path, header_of(scenario, target, self._plan, seed)) as writer:
                drill = self._drill = Drill(
                    scenario, target, writer, self._plan, seed, number, self._say
                )
                drill.play()
        except Stopped:
            if drill is None or not drill.has_begun:
                return None
        finally:
            self._is_playing, self._drill = False, None
        self._say("checking", 1.0)
        history, judgement = judge(path)
        return Played(scenario, number, history, judgement, directory)
