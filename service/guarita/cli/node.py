"""`guarita node`: a data node and its server in this terminal, container or unit."""

from __future__ import annotations

import importlib
import sys

import click

from guarita.cli import Invocation, config_option, load_structlog
from guarita.config import check_data_node, check_lone_node
from guarita.errors import TopologyError

CANNOT_START = 3


@click.command("node")
@config_option
@click.option(
    "--alone", is_flag=True, help="Without Sentinels: the only server, or a node of a Cluster."
)
@click.pass_obj
def command(invocation: Invocation, alone: bool) -> None:
    """Run a data node, as what the Sentinels say it is, until SIGTERM or Ctrl-C."""
    settings = invocation.settings()
    check = check_lone_node if alone else check_data_node
    check(settings)
    # Late: the command line must not wait for what it does not need.
    load_structlog()
    agent = importlib.import_module(f"guarita.node.{'alone' if alone else 'agent'}")
    try:
        sys.exit(agent.run(settings))
    except TopologyError as exc:
        click.echo(str(exc), err=True)
        sys.exit(CANNOT_START)
