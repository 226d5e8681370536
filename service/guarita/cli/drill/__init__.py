"""`guarita drill`: break an installation under load, and judge what its callers were told."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.table import Table

from guarita.cli import Invocation
from guarita.cli.drill.apart import apart_option, go_apart
from guarita.cli.drill.compare import compare
from guarita.cli.drill.numbers import RATE, FiniteRange
from guarita.cli.drill.series import Series, lacking_on, out_of, seed_of
from guarita.config import SessionSettings
from guarita.drill import report as reports
from guarita.drill.own import read_own
from guarita.drill.report import Result
from guarita.drill.run import MakeTarget, Status, judge, lacking, status_of
from guarita.drill.scenarios import MANY, SCENARIOS, SHORT, Scenario, named
from guarita.drill.targets import network
from guarita.drill.targets.base import Shape, Target, Terms
from guarita.drill.targets.local import LocalTarget
from guarita.drill.targets.running import RunningTarget, place_of
from guarita.drill.workload.load import Place
from guarita.errors import ConfigError, HistoryError, TopologyError
from guarita.topology.helm import CHART

IMAGE = "guarita:latest"


class Failed(click.ClickException):
    """What could not be run or read: status 3."""

    exit_code = Status.NOT_RUN


def _end_with_3(exc: click.UsageError) -> None:
    exc.exit_code = Status.NOT_RUN  # type: ignore[misc] # of the class, and here of this one alone


class DrillCommands(click.Group):
    """What is misused is status 3 as well: 2 is that a drill could not tell."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as exc:
            _end_with_3(exc)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (TopologyError, HistoryError, OSError) as exc:
            raise Failed(str(exc)) from exc
        except ConfigError as exc:
            raise Failed("\n".join(exc.problems)) from exc
        except click.UsageError as exc:
            _end_with_3(exc)
            raise
        except click.exceptions.Exit:
            raise
        except KeyboardInterrupt as exc:
            raise Failed("it was told to end before there was a verdict") from exc
        except Exception as exc:
            traceback.print_exc()  # 1 would be a verdict
            raise Failed(f"the drill itself failed: {exc}") from exc


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


_target = click.option(
    "--target",
    default="local",
    show_default=True,
    type=click.Choice(["local", "compose", "kubernetes"]),
    help="What to break: processes of this machine, containers, or the chart's pods that run.",
)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--file", "own", type=click.Path(path_type=Path), help="Your own, from YAML.")
@_target
def list_command(as_json: bool, own: Path | None, target: str) -> None:
    """Show the scenarios and what of each must hold."""
    without_network = network.lacking() if target == "local" else None
    scenarios = [
        _as_there(each, target, without_network) for each in (*SCENARIOS.values(), *_own(own))
    ]
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


def _as_there(scenario: Scenario, target: str, without_network: str | None) -> Scenario:
    """With why it cannot be played on this target, and on this machine."""
    if target == "local":
        return replace(scenario, not_here=lacking(scenario, without_network))
    return replace(scenario, not_here=lacking_on(target, scenario))


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
        "in_the_short_set": any(scenario in named(each) for each in SHORT),
    }


@command.command()
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...", shell_complete=_complete_scenario)
@click.option("--all", "everything", is_flag=True, help="Every scenario that applies here.")
@click.option("--short", is_flag=True, help=f"The short set: {', '.join(SHORT)}.")
@click.option("--file", "own", type=click.Path(path_type=Path), help="Your own, from YAML.")
@_target
@click.option("--image", default=IMAGE, show_default=True, help="What the containers run.")
@click.option(
    "--namespace", default="default", show_default=True, help="Where the chart's installation runs."
)
@click.option(
    "--chart",
    default=CHART,
    show_default=True,
    type=click.Path(path_type=Path),
    help="What the installation in --namespace is upgraded with.",
)
@click.option("--seed", type=int, help="Of all that is left to chance (default: by chance).")
@click.option(
    "--rate",
    default=200.0,
    show_default=True,
    type=RATE,
    help="Requests a second.",
)
@click.option(
    "--duration",
    default=8.0,
    show_default=True,
    type=FiniteRange(4, 86_400),
    help="Seconds of load beside the fault, half of them before it.",
)
@click.option(
    "--repeat", default=1, show_default=True, type=click.IntRange(1), help="Each so many times."
)
@click.option(
    "--faults",
    type=click.IntRange(2),
    help="So many, of these scenarios in turns, on one installation: one history, one verdict.",
)
@click.option(
    "--durability",
    default="balanced",
    show_default=True,
    type=click.Choice(["balanced", "strict"]),
    help="Of services and nodes; negative controls have their own.",
)
@click.option(
    "--room",
    default=0.0,
    type=FiniteRange(0, 3600),
    help="Seconds that writes may pause beyond the bounds, on a machine that does other things.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Directory (default: .guarita/drills/DATE)."
)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each drill.")
@click.option("--url", help="Of an installation that runs already, instead of one of its own.")
@click.option(
    "--yes-break-it",
    "name",
    help="That --url may be broken, or --namespace: its HOST[:PORT], or NAME, once more.",
)
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With the API key of --url.",
)
@apart_option
@click.pass_obj
def run(
    invocation: Invocation,
    /,
    scenarios: tuple[str, ...],
    everything: bool,
    short: bool,
    own: Path | None,
    target: str,
    image: str,
    namespace: str,
    chart: Path,
    url: str | None,
    name: str | None,
    api_key_file: Path | None,
    apart: bool,
    as_json: bool,
    out: Path | None,
    **how: Any,
) -> None:
    """Play scenarios, one after another, on an installation that is started for them."""
    if sum(map(bool, (scenarios, everything, short))) > 1:
        raise click.UsageError("name scenarios, or --short, or --all: one of these")
    words = SHORT if short else tuple(SCENARIOS) if everything else scenarios
    if how["faults"] and not (words or own):
        words = MANY
    chosen = _chosen(words, _own(own), named=bool(scenarios))
    make_target: MakeTarget
    if url:
        place = _to_break(url, name)
        key = api_key_file.read_text().strip() if api_key_file else ""
        make_target = partial(_running, place, key, invocation.settings().sessions)
        without_network, target = None, place.name
    elif target == "compose":
        # Late: whoever drills processes of this machine needs nothing of it.
        from guarita.drill.targets.compose import ComposeTarget

        without_network = None
        make_target = partial(ComposeTarget.of, image=image)
    elif target == "kubernetes":
        from guarita.drill.targets.kubernetes import KubernetesTarget, upgrades

        if any(map(upgrades, chosen)) and not (chart / "Chart.yaml").is_file():
            raise click.UsageError(f"there is no chart at {chart}: say where it is with --chart")
        _check_named(namespace, name, f"what runs in the namespace {namespace}")
        without_network = None

        def make_target(_directory: Path, shape: Shape) -> Target:
            return KubernetesTarget(namespace, shape, chart)

    else:
        without_network = go_apart(apart=apart)
        make_target = partial(LocalTarget, without_network=without_network)
    series = Series(
        out_of(out),
        seed_of(how.pop("seed")),
        target,
        without_network,
        make_target,
        own=own,
        skips=everything or short or words is MANY,
        as_json=as_json,
        **how,
    )
    sys.exit(series.play(chosen))


def _to_break(url: str, name: str | None) -> Place:
    """Only what was named twice."""
    try:
        place = place_of(url)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    _check_named(place.name, name, place.name)
    return place


def _check_named(name: str, named: str | None, words: str) -> None:
    if named != name:
        raise click.UsageError(
            f"this drill did not start {words}: it loads and breaks it only with "
            f"--yes-break-it {name}"
        )


def _running(
    place: Place, api_key: str, sessions: SessionSettings, _directory: Path, shape: Shape
) -> Target:
    """Lifetimes are as its configuration has them."""
    terms = Terms(
        sessions.ticket_ttl_s,
        sessions.session_ttl_s,
        sessions.replay_window_s,
        sessions.cache_age_s,
        sessions.revoke_on_replay,
    )
    return RunningTarget(place, shape, api_key=api_key, terms=terms)


def _chosen(words: Sequence[str], own: Sequence[Scenario], *, named: bool) -> list[Scenario]:
    """Each once. Where some are `named`, these alone, of the user's own ones too."""
    by_id = {each.id: each for each in own}
    chosen = {each.id: each for word in words for each in _found(word, by_id)}
    if not named:
        chosen |= by_id
    elif own and not by_id.keys() & chosen.keys():
        raise click.UsageError(f"none of these is in the file, which has {', '.join(by_id)}")
    if not chosen:
        raise click.UsageError("name a scenario, or --short, --all or --file; see `drill list`")
    return list(chosen.values())


def _found(word: str, own: Mapping[str, Scenario]) -> list[Scenario]:
    found = [own[word]] if word in own else named(word)
    if not found:
        raise click.UsageError(f"there is no scenario {word}: see `guarita drill list`")
    return found


def _own(path: Path | None) -> list[Scenario]:
    """Raises `ConfigError`."""
    return read_own(path) if path else []


@command.command("check")
@click.argument("history", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check_command(history: Path, as_json: bool) -> None:
    """Judge a HISTORY anew."""
    record, judgement = judge(history)
    result = Result(record.header, judgement)
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
    record, judgement = judge(history)
    directory = out or history.parent
    directory.mkdir(parents=True, exist_ok=True)
    reports.write(directory, record, judgement)
    click.echo(directory / "report.html")
    sys.exit(status_of(Result(record.header, judgement)))


command.add_command(compare)
