"""The command: `python -m tests.exactly_once --rounds 30 --tickets 100000`."""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from . import cuts
from .faults import FAULTS
from .rounds import Plan, Round, run

_INSIDE = "--inside"
_ROW = "{:>5}  {:<22} {:>8} {:>9} {:>9} {:>8} {:>8} {:>9} {:>10}"
_HEAD = "round fault tickets admitted used unknown failed silence anomalies"


def main() -> int:
    """0: nothing that must not happen was found; 1: something was."""
    arguments = _parser().parse_args()
    missing = [tool for tool in cuts.TOOLS if shutil.which(tool) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} must be installed (util-linux, iproute2, nftables)")
    if not arguments.inside:
        here = [sys.executable, "-m", "tests.exactly_once", _INSIDE, *sys.argv[1:]]
        command = cuts.apart(here)
        os.execvp(command[0], command)
    directory = Path(tempfile.mkdtemp(prefix="guarita-rivals-"))
    found = _report(run(_plan(arguments), directory), directory, as_json=arguments.json)
    if found:
        click.echo(f"whole histories and logs: {directory}", err=True)
    else:
        shutil.rmtree(directory)
    return int(found > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.exactly_once",
        description="Tickets, three rivals for each, and a fault a round.",
        epilog="Faults:\n" + "\n".join(f"  {n:<22} {f.__doc__}" for n, f in FAULTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--rounds", type=int, help="faults, in turn (default: each once)")
    add("--faults", default=",".join(FAULTS), help="names with commas between (default: all)")
    add("--tickets", type=int, default=6000, help="of all rounds, at least (default: %(default)s)")
    add("--rate", type=float, default=200, help="tickets a second at most (default: %(default)s)")
    add("--durability", choices=["balanced", "strict", "fast"], default="balanced")
    add("--rejoin", action="store_true", help="old primaries become replicas at once")
    add("--trust-the-primary", action="store_true", help="negative control: a wrong rule")
    add("--seed", type=int, help="shuffle the faults")
    add("--json", action="store_true", help="a line of JSON for each round")
    add(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    return parser


def _plan(arguments: argparse.Namespace) -> Plan:
    names = arguments.faults.split(",")
    if unknown := set(names) - FAULTS.keys():
        sys.exit(f"no such fault: {', '.join(sorted(unknown))}")
    if arguments.seed is not None:
        random.Random(arguments.seed).shuffle(names)
    faults = tuple(itertools.islice(itertools.cycle(names), arguments.rounds or len(names)))
    return Plan(
        faults,
        math.ceil(arguments.tickets / len(faults)),
        arguments.rate,
        arguments.durability,
        arguments.rejoin,
        arguments.trust_the_primary,
    )


def _report(rounds: Iterator[Round], directory: Path, *, as_json: bool) -> int:
    found = 0
    if not as_json:
        click.echo(_ROW.format(*_HEAD.split()))
    for each in rounds:
        found += len(each.anomalies)
        with (directory / "anomalies.log").open("a") as log:
            log.writelines(f"{anomaly}\n" for anomaly in each.anomalies)
        click.echo(_json(each) if as_json else _text(each))
    return found


def _text(each: Round) -> str:
    row = _ROW.format(
        each.number + 1,
        each.fault,
        each.tickets,
        each.redeems["acknowledged"],
        each.redeems["used"],
        each.redeems["unknown"] + each.creates["unknown"],
        each.redeems["failed"] + each.creates["failed"],
        f"{each.silence_s:.1f} s",
        len(each.anomalies),
    )
    evidence = (
        f"       ticket {a.ticket.number}: {a.kind}: {a.words}" for a in each.anomalies[:10]
    )
    return "\n".join([row, *evidence])


def _json(each: Round) -> str:
    return json.dumps(
        {
            "fault": each.fault,
            "tickets": each.tickets,
            "creates": each.creates,
            "redeems": each.redeems,
            "silence_s": round(each.silence_s, 2),
            "anomalies": [[a.ticket.number, a.kind, a.words] for a in each.anomalies],
        }
    )


if __name__ == "__main__":
    sys.exit(main())
