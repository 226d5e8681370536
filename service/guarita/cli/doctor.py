"""`guarita doctor`: the state of an installation in words, and what to do about it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from guarita.cli import Invocation, config_option
from guarita.config import Address
from guarita.doctor.findings import findings
from guarita.doctor.observe import observe
from guarita.doctor.page import with_kinds
from guarita.doctor.report import Report

UNHEALTHY = 1
PAUSE_S = 1.0
WIDTH = 120


def _addresses(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[Address, ...]:
    try:
        return tuple(map(Address.parse, values))
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


@click.command("doctor")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--agent",
    "agents",
    metavar="HOST:PORT",
    callback=_addresses,
    multiple=True,
    help="Where a node agent answers, once for each (else those of the section node).",
)
@click.option(
    "--patience",
    "patience_s",
    metavar="SECONDS",
    default=0.0,
    type=click.FloatRange(0),
    help="Ask again for so long while something is wrong.",
)
@click.option("--write-page", type=click.Path(path_type=Path, dir_okay=False), hidden=True)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    as_json: bool,
    agents: tuple[Address, ...],
    patience_s: float,
    write_page: Path | None,
) -> None:
    """Say what is wrong with the installation, most serious first, and what to do.

    Asks every Sentinel and data node, within two seconds, and changes nothing. Ends with status 0
    when all is well, 1 when something is wrong, 2 when the configuration is.
    """
    if write_page is not None:
        write_page.write_text(with_kinds(write_page.read_text("utf-8")), "utf-8")
        return
    settings = invocation.settings()
    end_s = time.monotonic() + patience_s
    while True:
        asked = agents or settings.node.other_agents
        seen = observe(settings.store, settings.sessions, agents=asked)
        report = Report(seen, findings(seen))
        if report.healthy or time.monotonic() >= end_s:
            break
        time.sleep(PAUSE_S)
    if as_json:
        click.echo(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        console = Console(markup=False, highlight=False, emoji=False)
        if not console.is_terminal:
            console.width = WIDTH  # of a file: its own, whoever reads it
        console.print(report.as_text())
    sys.exit(0 if report.healthy else UNHEALTHY)
