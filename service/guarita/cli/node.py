"""`guarita node`: a data node and its server in this terminal, container or unit."""

from __future__ import annotations

import sys

import click

from guarita.cli import Invocation, config_option
from guarita.config import check_data_node
from guarita.errors import TopologyError

CANNOT_START = 3


@click.command("node")
@config_option
@click.pass_obj
def command(invocation: Invocation) -> None:
    """Run a data node, as what the Sentinels say it is, until SIGTERM or Ctrl-C."""
    settings = invocation.settings()
    check_data_node(settings)
    # Late: the command line must not wait for what it does not need.
    from guarita.node import agent

    try:
        sys.exit(agent.run(settings))
    except TopologyError as exc:
        click.echo(str(exc), err=True)
        sys.exit(CANNOT_START)
