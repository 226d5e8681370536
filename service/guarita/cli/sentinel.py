"""`guarita sentinel`: a Sentinel and its server in this terminal, container or unit."""

from __future__ import annotations

import sys

import click

from guarita.cli import Invocation, config_option, load_structlog
from guarita.config import check_sentinel
from guarita.errors import TopologyError

CANNOT_START = 3


@click.command("sentinel")
@config_option
@click.pass_obj
def command(invocation: Invocation) -> None:
    """Run a Sentinel until SIGTERM or Ctrl-C."""
    settings = invocation.settings()
    check_sentinel(settings)
    # Late: the command line must not wait for what it does not need.
    load_structlog()
    from guarita.node import sentinel_agent

    try:
        sys.exit(sentinel_agent.run(settings))
    except TopologyError as exc:
        click.echo(str(exc), err=True)
        sys.exit(CANNOT_START)
