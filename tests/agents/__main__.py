"""The command: `python -m tests.agents term kill-server --repeat 20 --durability balanced`."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import click

from .runs import Plan, Repetition, Runner
from .scenarios import SCENARIOS

_ROW = "{:<22} {:>3} {:>7} {:>8} {:>6} {:>5} {:>6}  {}"
_HEAD = _ROW.format("scenario", "no", "pause", "requests", "failed", "lost", "double", "verdict")
_LAST = ("full-load",)  # only where it is asked for


def main() -> int:
    """0: every bound held; 1: one was missed."""
    arguments = _parser().parse_args()
    names = arguments.scenarios or [
        name
        for name, scenario in SCENARIOS.items()
        if arguments.durability in scenario.durabilities and name not in _LAST
    ]
    if unknown := set(names) - SCENARIOS.keys():
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}")
    plan = Plan(
        tuple(names),
        arguments.repeat,
        arguments.durability,
        agents=not arguments.plain,
        minutes=arguments.minutes,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended
    directory = Path(tempfile.mkdtemp(prefix="guarita-agents-"))
    repetitions = []
    click.echo(_HEAD)
    for each in Runner(plan, directory).run(SCENARIOS):
        repetitions.append(each)
        click.echo(_line(each))
        if arguments.out:
            rows = [repetition.as_json() for repetition in repetitions]
            arguments.out.write_text(json.dumps(rows, indent=1) + "\n")
    click.echo("\n" + summary(repetitions))
    if any(each.missed for each in repetitions):
        click.echo(f"logs of the installations that missed a bound: {directory}", err=True)
        return 1
    shutil.rmtree(directory)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.agents",
        description="Node agents and the service as local processes, under load, with faults.",
        epilog="Scenarios:\n" + "\n".join(f"  {n:<22} {s.words}" for n, s in SCENARIOS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("scenarios", nargs="*", help="names (default: all but full-load)")
    add("--repeat", type=int, default=1, help="repetitions of each (default: %(default)s)")
    add("--durability", choices=["balanced", "strict", "fast"], default="balanced")
    add("--minutes", type=float, default=30, help="of full-load (default: %(default)s)")
    add("--plain", action="store_true", help="negative control: servers without agents")
    add("--out", type=Path, help="JSON file with every repetition")
    return parser


def _line(each: Repetition) -> str:
    told = each.figures
    row = _ROW.format(
        each.scenario,
        each.number + 1,
        f"{told.pause_s:.2f} s" if told else "?",
        told.requests if told else "?",
        told.failed if told else "?",
        told.lost if told else "?",
        told.double if told else "?",
        f"MISSED: {'; '.join(each.missed)}" if each.missed else "holds",
    )
    others = ", ".join(f"{name} {value:.2f}" for name, value in each.measured.items())
    return f"{row}  ({others})"


def summary(repetitions: list[Repetition]) -> str:
    """A table: for each scenario how many held, and of each figure the median and the most."""
    lines = [f"{'scenario':<22} {'held':>7}  median / most"]
    for name, group in groupby(repetitions, key=lambda each: each.scenario):
        of_scenario = list(group)
        held = sum(not each.missed for each in of_scenario)
        rows = [each.measured | _counted(each) for each in of_scenario]
        keys = dict.fromkeys(key for row in rows for key in row)
        figures = (_spread(key, [row[key] for row in rows if key in row]) for key in keys)
        lines.append(f"{name:<22} {held:>3}/{len(rows):<3}  {', '.join(figures)}")
    return "\n".join(lines)


def _counted(each: Repetition) -> dict[str, float]:
    names = ("pause_s", "failed", "lost", "double")
    return {name: getattr(each.figures, name) for name in names} if each.figures else {}


def _spread(name: str, values: list[float]) -> str:
    return f"{name} {statistics.median(values):.3g} / {max(values):.3g}"


if __name__ == "__main__":
    sys.exit(main())
