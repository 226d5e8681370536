"""`guarita drill compare`: the same drills on installations as others set them up."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from guarita.cli.drill.apart import apart_option, go_apart
from guarita.cli.drill.numbers import RATE
from guarita.cli.drill.series import EACH_S, Progress, out_of, seed_of
from guarita.config import Durability
from guarita.drill import report as reports
from guarita.drill.playing import Plan
from guarita.drill.report import Result
from guarita.drill.run import NotPlayed, Played, Runner, Status, why_not
from guarita.drill.scenarios import Scenario, named
from guarita.drill.targets.kits import KITS
from guarita.drill.targets.local import LocalTarget

# In none of them is a node asked to end: the scripts of the others that hand over are not played.
COMPARED = ("D2", "D2-lost", "D3", "D4", "D28")
OURS = "guarita"


@click.command()
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@click.option(
    "--like",
    "kits",
    multiple=True,
    type=click.Choice([OURS, *KITS]),
    help="These alone (default: all).",
)
@click.option("--seed", type=int, help="Of all that is left to chance (default: by chance).")
@click.option("--rate", default=100.0, show_default=True, type=RATE)
@click.option(
    "--durability",
    default="balanced",
    show_default=True,
    type=click.Choice([str(each) for each in Durability]),
    help="Of the services; fast is what an application does that waits for no replica.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Directory.")
@apart_option
def compare(
    scenarios: tuple[str, ...],
    kits: tuple[str, ...],
    seed: int | None,
    rate: float,
    durability: str,
    out: Path | None,
    apart: bool,
) -> None:
    """Play the same scenarios on Guarita's nodes and on Sentinels as others set them up.

    The services, their durability and the load are the same on all. Nothing is judged: it ends with
    a table of the four figures.
    """
    chosen = list(_chosen(scenarios or COMPARED, durability))
    without_network = go_apart(apart=apart)
    for each in chosen:
        if reason := why_not(each, durability, without_network):
            click.echo(f"{each.id} is left out: {reason}", err=True)
    chosen = [each for each in chosen if not why_not(each, durability, without_network)]
    wanted = kits or (OURS, *KITS)
    progress = Progress(Console(stderr=True, highlight=False), len(chosen) * len(wanted), EACH_S)
    directory = out_of(out)
    plan = Plan(rate, seed_of(seed), Durability(durability), directory)
    results: list[tuple[str, Result]] = []
    stopped = unplayed = False
    for kit in wanted:
        runner = Runner(
            replace(plan, out=directory / kit),
            partial(LocalTarget, without_network=without_network),
            progress.say,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_, stop=runner.stop: stop())
        for played in runner.play([(_like(each, kit), 0) for each in chosen]):
            progress.has_ended()
            if isinstance(played, NotPlayed):
                click.echo(f"{played.scenario.id} could not be played: {played.reason}", err=True)
                unplayed = True
                continue
            _keep(played)
            results.append((_title(kit), Result(played.history.header, played.judgement)))
        if stopped := runner.is_stopped:
            break
    progress.close()
    sys.exit(_told(directory, results, stopped=stopped or unplayed))


def _chosen(words: Sequence[str], durability: str) -> Iterator[Scenario]:
    """Those that say nothing about `strict` say nothing here either; `fast` is for all."""
    for word in words:
        found = [each for each in named(word) if not (each.control or each.not_here)]
        if not found:
            raise click.UsageError(f"there is no scenario {word} to compare with")
        for each in found:
            also = ("fast",) if durability == "fast" else ()
            yield replace(each, durabilities=(*each.durabilities, *also))


def _like(scenario: Scenario, kit: str) -> Scenario:
    """Without bounds, which are Guarita's own."""
    shape = scenario.shape
    if kit != OURS:
        shape = replace(shape, agents=False, like=kit, patience_s=KITS[kit].patience_s)
    return replace(scenario, shape=shape, pause_s=None, failed=None, at_most={})


def _title(kit: str) -> str:
    return "Guarita" if kit == OURS else KITS[kit].title


def _keep(played: Played) -> None:
    reports.write(played.directory, played.history, played.judgement)


def _told(directory: Path, results: Sequence[tuple[str, Result]], *, stopped: bool) -> int:
    """Returns the status of the command."""
    if not results:
        return Status.NOT_RUN
    table = reports.as_comparison(results)
    (directory / "compare.md").write_text(table, "utf-8")
    click.echo(table, nl=False)
    click.echo(f"Reports: {directory}")
    untold = stopped or any(each.judgement.unmet for _, each in results)
    return Status.UNTOLD if untold else Status.GOOD
