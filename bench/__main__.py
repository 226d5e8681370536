"""`python -m bench`: measure, and write `docs/performance.md`."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

import click

from bench import facts, pieces, report
from bench.contestants import ROWS, Contestant, ours, peers
from bench.course import Alone, Cell, Course, Runner
from bench.install import NotInstalled, install
from bench.load import NoLoad, find_wrk
from bench.results import BASE_CONNECTIONS, Entry, Results
from guarita import processes
from guarita.errors import TopologyError
from guarita.topology.local import LocalSentinel

INSTALLED = facts.ROOT / ".cache/bench"
WARM_UP_S = 1


def _numbers(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(",") if each)
    except ValueError as exc:
        raise click.BadParameter(f"{text}: write whole numbers with commas between") from exc


@click.command()
@click.option("--seconds", default=5, show_default=True, help="Of load per cell.")
@click.option("--rounds", default=5, show_default=True, help="Figures are their medians.")
@click.option("--connections", default="1,32,256", show_default=True, callback=_numbers)
@click.option("--live", default="", callback=_numbers, help="Also with that many tickets stored.")
@click.option("--only", default="", help="Names with commas between, such as guarita-fast,express.")
@click.option("--add", is_flag=True, help="To the last report's cells, measured in the same way.")
@click.option("--output", default="docs", show_default=True, type=click.Path(path_type=Path))
def main(
    seconds: int,
    rounds: int,
    connections: tuple[int, ...],
    live: tuple[int, ...],
    only: str,
    add: bool,
    output: Path,
) -> None:
    """Measure Guarita and its peers side by side, and write the report."""
    if BASE_CONNECTIONS not in connections and not add:
        raise click.BadParameter(f"--connections: {BASE_CONNECTIONS} must be among them")
    cells = [Cell(row, each) for row in ROWS for each in connections]
    cells += [Cell(row, BASE_CONNECTIONS, each) for row in ROWS for each in live]
    try:
        find_wrk()
        contestants, missing = _contestants(only.split(",") if only else [])
        with _course(seconds) as course, _running(course, contestants) as runners:
            missing += _measure(course, runners, cells, rounds)
            results = Results(
                entries=tuple(_entry(course, each, weigh=not add) for each in runners),
                connections=connections,
                live=live,
                seconds=seconds,
                rounds=rounds,
                alone=_alone(course, runners, live),
                facts=facts.collect(course.primary.version, INSTALLED, _command()),
                missing=tuple(missing),
            )
        if add:
            every = [*ours(), *peers(INSTALLED)]
            results = pieces.join(results, output / report.SAMPLES, every)
    except (NoLoad, TopologyError, pieces.UnlikeError) as exc:
        raise click.ClickException(str(exc)) from exc
    click.echo(f"{report.write(results, output)} is written.")


def _command() -> str:
    arguments = shlex.join(sys.argv[1:])
    return f"make bench BENCH_ARGS='{arguments}'" if arguments else "make bench"


def _contestants(only: Sequence[str]) -> tuple[list[Contestant], list[str]]:
    """Those that can be measured here, and why the others cannot."""
    found: list[Contestant] = []
    missing = []
    for each in ours():
        if find_spec(each.server):
            found.append(each)
        else:
            missing.append(f"{each.label}: {each.server} is not installed")
    for peer in peers(INSTALLED):
        if only and peer.name not in only:
            continue
        try:
            install(peer.name, INSTALLED)
            found.append(peer)
        except NotInstalled as exc:
            missing.append(f"{peer.label}: {exc}")
    return [each for each in found if not only or each.name in only], missing


def _entry(course: Course, runner: Runner, *, weigh: bool) -> Entry:
    contestant = runner.contestant
    return Entry(
        contestant,
        runner.samples,
        course.weigh(runner) if contestant.is_weighed and weigh else None,
    )


@contextmanager
def _course(seconds: int) -> Iterator[Course]:
    with (
        tempfile.TemporaryDirectory(prefix="guarita-bench-") as name,
        LocalSentinel(Path(name) / "redis", down_after_ms=60_000) as installation,
        closing(Course(Path(name), installation, seconds=seconds)) as course,
    ):
        yield course


@contextmanager
def _running(course: Course, contestants: Sequence[Contestant]) -> Iterator[list[Runner]]:
    runners: list[Runner] = []
    try:
        for each in contestants:
            runners.append(course.start(each))
        yield runners
    finally:
        processes.stop([each.identity for each in runners], timeout_s=10)


def _measure(
    course: Course, runners: Sequence[Runner], cells: Sequence[Cell], rounds: int
) -> list[str]:
    """Which cells have no figure, and why: a peer that refuses requests does other work there.

    Raises `NoLoad` where it is Guarita.
    """
    refused: dict[tuple[str, Cell], str] = {}
    for runner in runners:
        for row in runner.contestant.rows:
            course.warm_up(runner, Cell(row, BASE_CONNECTIONS), WARM_UP_S)
    for number in range(rounds):
        for cell in cells:
            turn = number % len(runners)  # nobody is always the first
            for runner in [*runners[turn:], *runners[:turn]]:
                key = (runner.contestant.name, cell)
                if cell.row not in runner.contestant.rows or key in refused:
                    continue
                try:
                    course.measure(runner, cell)
                except NoLoad as exc:
                    if runner.contestant.is_ours:
                        raise
                    refused[key] = f"{cell.row} with {cell.connections} connections: {exc}"
                    runner.samples.pop(cell, None)
                    click.echo(refused[key])
                else:
                    _tell(runner, cell, number)
    return list(refused.values())


def _alone(course: Course, runners: Sequence[Runner], live: Sequence[int]) -> dict[str, Alone]:
    """The store without HTTP, where Guarita with `fast` is among the contestants."""
    fast = next((each for each in runners if each.contestant.name == "guarita-fast"), None)
    if fast is None:
        return {}
    replicated = {
        f"two replicas, {many:,} live tickets": course.alone(fast, many) for many in live or (0,)
    }
    return replicated if live else {"one server": course.alone_on_one_server(), **replicated}


def _tell(runner: Runner, cell: Cell, number: int) -> None:
    sample = runner.samples[cell][-1]
    what = f"{cell.row} {cell.connections}" + (f" of {cell.live}" if cell.live else "")
    figures = f"{sample.per_s:.0f}/s, {sample.cpu_us:.0f} us of CPU"
    click.echo(f"{number + 1}: {what}: {runner.contestant.name} {figures}")


if __name__ == "__main__":
    main()
