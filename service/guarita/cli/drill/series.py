"""Several drills one after another: told while they are played, and summed up."""

from __future__ import annotations

import importlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from guarita.config import Durability
from guarita.drill import report as reports
from guarita.drill.playing import Plan
from guarita.drill.report import Result
from guarita.drill.report.words import headline
from guarita.drill.run import (
    MakeTarget,
    NotPlayed,
    Played,
    Runner,
    Status,
    lacking,
    silent_on,
    status_of,
)
from guarita.drill.scenarios import Scenario, in_turns, why_not_in_turns
from guarita.errors import TopologyError

ELSEWHERE = ("compose", "kubernetes")  # targets that do not run as processes of this machine
EACH_S = 45.0
FAULT_S = 10.0
TELL_S = 60.0  # how often one that is not at a terminal hears how far it is
PACE_KNOWN = 0.03  # of a drill: what it has taken so far says more than the guess
_ROW = "{:<9} {:>2}  {:<8} {:>8} {:>5} {:>6} {:>6} {:>8}  {}"


def lacking_on(target: str, scenario: Scenario) -> str | None:
    """Why it cannot be played on a target that is elsewhere, in words; None where it can."""
    # Late: whoever drills processes of this machine needs nothing of it.
    module = importlib.import_module(f"guarita.drill.targets.{target}")
    reason: str | None = module.lacking(scenario)
    return reason


@dataclass(frozen=True, slots=True)
class Series:
    """Several drills after each other, told while they are played."""

    out: Path
    seed: int
    target: str
    without_network: str | None
    make_target: MakeTarget
    rate: float
    duration: float
    repeat: int
    durability: str
    room: float
    faults: int | None  # so many of all scenarios in turns, in one drill
    own: Path | None  # the file with scenarios of the user's own
    skips: bool  # what does not apply is told and left out, not an error
    as_json: bool

    def play(self, chosen: Sequence[Scenario]) -> int:
        """Returns the status of the command."""
        wanted = self._in_order([each for each in chosen if self._applies(each)])
        progress = Progress(Console(stderr=True, highlight=False), len(wanted), self._each_s())
        plan = Plan(
            self.rate,
            self.seed,
            Durability(self.durability),
            self.out,
            self.own and self.own.absolute(),
            lead_s=self.duration / 2,
            tail_s=self.duration / 2,
            room_s=self.room,
        )
        self.out.mkdir(parents=True, exist_ok=True)
        results: dict[Path, Result] = {}
        runner = Runner(plan, self.make_target, progress.say)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: runner.stop())
        if not self.as_json:
            click.echo(_ROW.format(*_HEAD))
        statuses: list[Status] = []
        with closing(progress):
            for played in runner.play(wanted):
                progress.has_ended()
                if isinstance(played, NotPlayed):
                    statuses.append(Status.NOT_RUN)
                    click.echo(
                        f"{played.scenario.id} could not be played: {played.reason}", err=True
                    )
                    continue
                result = Result(played.history.header, played.judgement)
                results[played.directory] = result
                statuses.append(status_of(result))
                reports.write(played.directory, played.history, played.judgement)
                reports.write_summary(self.out, results)
                click.echo(_line_of_json(played) if self.as_json else _row(played))
        if not self.as_json:
            click.echo(f"Reports: {self.out}")
        if runner.is_stopped:
            click.echo("It was told to end before its time.", err=True)
            statuses.append(Status.UNTOLD)
        return max(statuses, key=_GRAVITY.index, default=Status.NOT_RUN)

    def _in_order(self, scenarios: Sequence[Scenario]) -> list[tuple[Scenario, int]]:
        """With the number of its repetition. Each of many faults has an order of its own."""
        numbers = range(self.repeat)
        if self.faults and scenarios:
            return [(in_turns(scenarios, self.faults, self.seed + n), n) for n in numbers]
        return [(each, n) for each in scenarios for n in numbers]

    def _each_s(self) -> float:
        """A first guess of what a drill takes."""
        return EACH_S + FAULT_S * self.faults if self.faults else EACH_S

    def _applies(self, scenario: Scenario) -> bool:
        """Raises `TopologyError` where it was asked for by name and does not."""
        reason = self._why_not(scenario)
        if reason and not self.skips:
            raise TopologyError(f"{scenario.id} cannot be played here: {reason}")
        if reason:
            click.echo(f"{scenario.id} is left out: {reason}", err=True)
        return not reason

    def _why_not(self, scenario: Scenario) -> str | None:
        if reason := silent_on(scenario, self.durability):
            return reason
        if self.faults and (reason := why_not_in_turns(scenario)):
            return reason
        if self.target in ELSEWHERE:
            return lacking_on(self.target, scenario)
        return lacking(scenario, self.without_network)


_HEAD = ("scenario", "no", "verdict", "pause", "lost", "double", "failed", "requests", "")
# The last one found decides.
_GRAVITY = (Status.GOOD, Status.UNTOLD, Status.NOT_RUN, Status.BAD)


class Progress:
    """What is done now and how long it may still take."""

    def __init__(self, console: Console, drills: int, each_s: float) -> None:
        """`each_s`: what each is likely to take."""
        self._status = console.status("") if console.is_terminal else None
        self._left = drills
        self._each_s = each_s
        self._done = 0
        self._began_s = self._told_s = time.monotonic()
        if self._status:
            self._status.start()

    def say(self, words: str, share: float = 0.0) -> None:
        """`share`: of the drill that is played now, as far as it is over."""
        now_s = time.monotonic()
        spent_s = now_s - self._began_s
        done = self._done + share
        each_s = spent_s / done if done >= PACE_KNOWN else self._each_s
        left_s = max(0.0, each_s * (self._done + self._left) - spent_s)
        told = f"{words}; about {left_s // 60:.0f} min {left_s % 60:.0f} s left"
        if self._status:
            self._status.update(told)
        elif now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            click.echo(told, err=True)

    def has_ended(self) -> None:
        self._left, self._done = self._left - 1, self._done + 1

    def close(self) -> None:
        if self._status:
            self._status.stop()


def _row(played: Played) -> str:
    judgement, figures = played.judgement, played.judgement.figures
    header = played.history.header
    remark = "control: found out" if header.control else ""
    if not Result(header, judgement).is_good:
        remark = headline(header, judgement)
    return _ROW.format(
        played.scenario.id,
        played.number + 1,
        judgement.verdict,
        f"{figures.pause_s:.2f} s",
        figures.lost,
        figures.double,
        figures.failed,
        figures.requests,
        remark,
    ).rstrip()


def _line_of_json(played: Played) -> str:
    result = Result(played.history.header, played.judgement)
    told = json.loads(reports.as_json(result)) | {
        "number": played.number + 1,
        "directory": str(played.directory),
    }
    return json.dumps(told)


def out_of(given: Path | None) -> Path:
    """Where histories and reports go."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    here = Path(".guarita/drills")
    if not os.access(".", os.W_OK):  # such as in a container
        here = Path(tempfile.gettempdir()) / "guarita-drills"
    return (given or here / now).absolute()


def seed_of(given: int | None) -> int:
    return int.from_bytes(os.urandom(3)) if given is None else given
