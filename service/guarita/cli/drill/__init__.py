"""`guarita drill`: break an installation under load, and judge what its callers were told."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.table import Table

from guarita.cli.drill.series import NOT_RUN, Series
from guarita.drill import report as reports
from guarita.drill.check import check
from guarita.drill.lines import read
from guarita.drill.own import read_own
from guarita.drill.report import Result
from guarita.drill.run import status_of
from guarita.drill.scenarios import SCENARIOS, SHORT, Scenario, named
from guarita.drill.targets import network
from guarita.errors import HistoryError, TopologyError

_APART = "--apart"


class Failed(click.ClickException):
    """What could not be run or read: status 3."""

    exit_code = NOT_RUN


class DrillCommands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (TopologyError, HistoryError, OSError) as exc:
            raise Failed(str(exc)) from exc


def _complete_scenario(
    _context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    return [
        CompletionItem(each.id, help=each.title)
        for each in SCENARIOS.values()
        if each.id.lower().startswith(typed.lower())
    ]


@click.group(cls=DrillCommands)
def command() -> None:
    """Break an installation under load and judge what its callers were told.

    Status 0: all is as it must be; 1: it is not; 2: could not tell; 3: could not run.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--file", "own", type=click.Path(path_type=Path), help="Your own, from YAML.")
def list_command(as_json: bool, own: Path | None) -> None:
    """Show the scenarios and what of each must hold."""
    scenarios = [*SCENARIOS.values(), *_own(own)]
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in scenarios], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "what happens", "what must hold"):
        table.add_column(heading, overflow="fold")
    for each in scenarios:
        must = f"not here: {each.not_here}" if each.not_here else each.must_hold
        table.add_row(each.id, each.title, must)
    Console(highlight=False).print(table)


def _as_json(scenario: Scenario) -> dict[str, Any]:
    return {
        "id": scenario.id,
        "title": scenario.title,
        "must_hold": scenario.must_hold,
        "faults": [each.name for each in scenario.faults],
        "pause_at_most_s": scenario.pause_s,
        "failed_at_most": scenario.failed,
        "durabilities": scenario.durabilities,
        "control": scenario.control,
        "not_here": scenario.not_here,
        "reported_as": scenario.reported_as,
        "in_the_short_set": any(each in SHORT for each in (scenario.id, scenario.id[:-1])),
    }


@command.command()
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...", shell_complete=_complete_scenario)
@click.option("--all", "everything", is_flag=True, help="Every scenario that applies here.")
@click.option("--short", is_flag=True, help=f"The short set: {', '.join(SHORT)}.")
@click.option("--file", "own", type=click.Path(path_type=Path), help="Your own, from YAML.")
@click.option(
    "--target",
    default="local",
    show_default=True,
    type=click.Choice(["local"]),
    help="What to break.",
)
@click.option("--seed", type=int, help="Of all that is left to chance (default: by chance).")
@click.option(
    "--rate", default=200.0, show_default=True, type=click.FloatRange(10), help="Requests a second."
)
@click.option(
    "--duration",
    default=8.0,
    show_default=True,
    type=click.FloatRange(4),
    help="Seconds of load beside the fault, half of them before it.",
)
@click.option(
    "--repeat", default=1, show_default=True, type=click.IntRange(1), help="Each so many times."
)
@click.option(
    "--durability",
    default="balanced",
    show_default=True,
    type=click.Choice(["balanced", "strict"]),
    help="Of services and nodes; negative controls have their own.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Directory (default: .guarita/drills/DATE)."
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each drill.")
@click.option(_APART, "apart", is_flag=True, hidden=True)
def run(
    scenarios: tuple[str, ...],
    everything: bool,
    short: bool,
    own: Path | None,
    target: str,
    apart: bool,
    as_json: bool,
    out: Path | None,
    **how: Any,
) -> None:
    """Play scenarios, one after another, on an installation that is started for them."""
    words = SHORT if short else tuple(SCENARIOS) if everything else scenarios
    chosen = [*_found(words), *(_own(own) if not scenarios or everything else ())]
    if not chosen:
        raise click.UsageError("name a scenario, or --short, --all or --file; see `drill list`")
    if apart and not network.is_apart():
        raise click.UsageError(f"{_APART} is what this command tells itself: leave it out")
    without_network = None if apart else network.lacking()
    if not apart and without_network is None:
        _go_apart()
    # As first of its processes it would not hear a SIGTERM that it does not ask for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = how.pop("seed")
    series = Series(
        _out(out),
        int.from_bytes(os.urandom(3)) if seed is None else seed,
        target,
        without_network,
        skips=everything or short,
        as_json=as_json,
        **how,
    )
    sys.exit(series.play(chosen))


def _go_apart() -> None:
    """The same command again, in a network and with processes that end with it."""
    argv = network.apart([sys.executable, "-m", "guarita", *sys.argv[1:], _APART])
    os.execvp(argv[0], argv)  # noqa: S606


def _out(given: Path | None) -> Path:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    return (given or Path(".guarita/drills") / now).absolute()


def _found(words: Sequence[str]) -> Iterator[Scenario]:
    for word in words:
        each = named(word)
        if not each:
            raise click.UsageError(f"there is no scenario {word}: see `guarita drill list`")
        yield from each


def _own(path: Path | None) -> list[Scenario]:
    """Raises `ConfigError`."""
    return read_own(path) if path else []


@command.command("check")
@click.argument("history", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check_command(history: Path, as_json: bool) -> None:
    """Judge a HISTORY anew."""
    result = _judged(history)
    if as_json:
        click.echo(reports.as_json(result))
    else:
        click.echo(reports.as_markdown([result]), nl=False)
    sys.exit(status_of(result))


@command.command("report")
@click.argument("history", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Directory (default: the history's own)."
)
def report_command(history: Path, out: Path | None) -> None:
    """Write the reports of a HISTORY anew: HTML, JSON, JUnit XML and Markdown."""
    record = read(history)
    judgement = check(record)
    directory = out or history.parent
    directory.mkdir(parents=True, exist_ok=True)
    reports.write(directory, record, judgement)
    click.echo(directory / "report.html")
    sys.exit(status_of(Result(record.header, judgement)))


def _judged(path: Path) -> Result:
    record = read(path)
    return Result(record.header, check(record))
