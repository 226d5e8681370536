"""Plays one drill: load, fault, heal, drain, a last look. What it was is in its history."""

from __future__ import annotations

import platform
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from guarita.config import Durability
from guarita.drill.clock import Clock, rest
from guarita.drill.expected import Expected
from guarita.drill.faults.base import Fault, Scene, Undo
from guarita.drill.history import Event, EventKind, Header, Measured, Phase, Turn
from guarita.drill.lines import Writer
from guarita.drill.sampler import Sampler
from guarita.drill.scenarios import SCENARIOS, Scenario
from guarita.drill.targets.base import Target
from guarita.drill.workload.load import Load
from guarita.errors import TopologyError
from guarita.processes import wait_until

LEAD_S = 4.0  # of load before the fault
TAIL_S = 4.0  # of load after all is well again
STEADY_WITHIN_S = 30.0  # that writes succeed, before the first fault
WELL_WITHIN_S = 90.0
FORGOTTEN_S = 2.5  # what a service may remember of a session: the last look asks the store


class Say(Protocol):
    """Is told what is done now, and the share of the drill that is over."""

    def __call__(self, words: str, share: float = 0.0) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How to play."""

    rate: float
    seed: int
    durability: Durability
    out: Path
    own: Path | None = None
    """The file with scenarios of the user's own."""
    lead_s: float = LEAD_S
    tail_s: float = TAIL_S
    room_s: float = 0.0
    """Added to how long writes may pause, where the machine does other things as well."""


class Stopped(BaseException):
    """The drill that is played is to end now."""


class Drill:
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
        self._number = number
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
        self._over = 0.0  # the share of its faults
        self._is_stopped = self._goes_on = False
        self.has_begun = False

    def stop(self) -> None:
        """From a signal handler. Raises `Stopped`, or has it raised once a change is whole."""
        self._is_stopped = True
        if not self._goes_on:
            raise Stopped

    def _go_on(self) -> None:
        if self._is_stopped:
            raise Stopped

    @contextmanager
    def _to_the_end(self) -> Iterator[None]:
        """What was there before is not left half changed when the drill is stopped."""
        self._goes_on = self._target.was_there
        try:
            yield
        finally:
            self._goes_on = False

    def play(self) -> None:
        """Raises `TopologyError` where the installation was not well to begin with."""
        self._say("waiting for a settled installation")
        self._target.wait_settled()
        self._clock.start()
        self._sampler.start()
        self._load.start()
        try:
            self._phase(Phase.LOAD)
            self.has_begun = True
            self._say("load")
            rest(self._plan.lead_s)
            if not self._load.wait_steady(STEADY_WITHIN_S) and not self._load.has_written:
                raise TopologyError(
                    f"no write succeeded within {self._plan.lead_s + STEADY_WITHIN_S:g} s, so that "
                    f"nothing was broken: {self._load.refusal}"
                )
            try:
                self._break_all()
            except TopologyError as exc:  # what there is can be judged all the same
                self._event(EventKind.STOPPED, f"the drill could not go on: {exc}")
            self._say("load after the fault", self._over)
            rest(self._plan.tail_s)
            self._load.stop_asking()
            self._phase(Phase.DRAIN)
            self._say("waiting for the last answers", self._over)
            self._load.drain()
            rest(max(FORGOTTEN_S, self._target.terms.cache_age_s + 0.5))
            self._phase(Phase.LOOK)
            self._say(f"asking for {self._load.acknowledged} tickets once more", self._over)
            failed_tries = self._load.failed_tries
            self._load.look()
            self._writer.write(Measured("failed_tries", failed_tries, _none_if(self._scenario)))
        except Stopped:
            self._event(EventKind.STOPPED, "the drill was told to end before its time")
            raise
        finally:
            self._load.close()
            self._sampler.stop()
            self._phase(Phase.END)

    def _break_all(self) -> None:
        parts = self._scenario.parts
        began_us = 0  # the load before the first fault is its load
        for at, part in enumerate(parts):
            self._over = at / len(parts)
            is_one = not self._scenario.turns
            failed_tries = self._load.failed_tries
            number = self._number if is_one else parts[:at].count(part)
            self._health()
            scene = Scene(
                self._target,
                self._load,
                self._sampler,
                self._clock,
                self._writer,
                number,
                part.at_most,
                None if is_one else at + 1,
            )
            is_well = self._break_and_heal(part, scene, "" if is_one else f" {at + 1}/{len(parts)}")
            if not is_one:
                ended_us = self._clock.now_us
                allowed_s = _allowed_s(part, self._target, self._plan)
                self._writer.write(
                    Turn(at + 1, part.id, began_us, ended_us, part.title, allowed_s, part.failed)
                )
                tries = self._load.failed_tries - failed_tries
                self._writer.write(Measured("failed_tries", tries, _none_if(part), at + 1))
                began_us = ended_us
            if not is_well:
                break
            if at + 1 < len(parts):
                self._target.wait_settled()
                self._load.wait_steady(30)

    def _break_and_heal(self, scenario: Scenario, scene: Scene, place: str) -> bool:
        """Whether all was well in the end."""
        expected = Expected(scene)
        for fault in scenario.faults:
            self._say(f"fault{place}: {fault.name}", self._over)
            undo: Undo | None = None
            try:
                with self._to_the_end():
                    undo = fault.inject(scene)
                self._outlast(fault, scene)
            except TopologyError as exc:  # half done: nothing that follows shows anything
                self._event(EventKind.STOPPED, f"{fault.name} failed: {exc}")
                self._target.restore()
                return False
            except Stopped:
                if undo and self._target.was_there:
                    self._take_away(fault, undo)
                raise
            self._take_away(fault, undo)
            self._go_on()
        self._say(f"waiting for health{place}", self._over)
        scene.served_again()
        began_s = time.monotonic()
        is_well = self._health(within_s=max(WELL_WITHIN_S, self._target.shape.patience_s))
        scene.measure("well_s", time.monotonic() - began_s)
        for look in (*scene.afterwards, expected.measure):
            look()
        return is_well

    def _outlast(self, fault: Fault, scene: Scene) -> None:
        self._go_on()
        if fault.for_s is None:
            scene.served()
        else:
            rest(fault.for_s + (self._target.slack_s if fault.for_s else 0))

    def _take_away(self, fault: Fault, undo: Undo) -> None:
        try:
            with self._to_the_end():
                undo()
        except TopologyError as exc:
            self._event(EventKind.UNHEALED, f"{fault.name} could not be healed: {exc}")
        self._event(EventKind.HEAL, f"{fault.name} is over")

    def _health(self, within_s: float = 0.0) -> bool:
        """Tell how it is once it is well, or when it is not within so long."""
        obstacle = None

        def is_well() -> bool:
            nonlocal obstacle
            obstacle = self._target.obstacle()
            return obstacle is None

        wait_until(is_well, timeout_s=within_s, pause_s=0.1)
        self._event(EventKind.HEALTH, obstacle or "")
        return obstacle is None

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
        revoke_on_replay=target.terms.revoke_on_replay,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=f"{platform.system()} {platform.machine()}",
        versions={**target.versions(), "python": platform.python_version()},
        control=scenario.control,
        pause_at_most_s=_allowed_s(scenario, target, plan),
        failed_at_most=scenario.failed,
        # Others may use one that runs already.
        alone=bool(target.nodes) and target.name != "kubernetes",
        command=(
            f"guarita drill {_words_of(scenario, plan)} --seed {seed} --rate {plan.rate:g}"
            f" --durability {plan.durability}"
            f"{f' --room {plan.room_s:g}' if plan.room_s else ''} {target.options}"
        ).strip(),
    )


def _allowed_s(scenario: Scenario, target: Target, plan: Plan) -> float | None:
    """How long writes may pause on this target."""
    if scenario.pause_s is None:
        return None
    slack_s = 0.0 if scenario.planned else target.slack_s
    return scenario.pause_s + slack_s + plan.room_s


def _none_if(scenario: Scenario) -> int | None:
    """How many tries may fail, whatever became of their repeats."""
    return 0 if scenario.failed == 0 else None


def _words_of(scenario: Scenario, plan: Plan) -> str:
    """What is written on the command line for it."""
    if scenario.shape.like:
        return f"compare {scenario.id} --like {scenario.shape.like}"
    ids = sorted({each.id for each in scenario.parts})
    words = ["run", *ids]
    if scenario.turns:
        words += ["--faults", str(len(scenario.turns))]
    if plan.own and not SCENARIOS.keys() >= set(ids):
        words += ["--file", shlex.quote(str(plan.own))]
    if plan.lead_s + plan.tail_s != LEAD_S + TAIL_S:
        words += ["--duration", f"{plan.lead_s + plan.tail_s:g}"]
    return " ".join(words)
