"""`guarita serve`: the service in this terminal, container or unit."""

from __future__ import annotations

import sys

import click

from guarita.cli import Invocation, config_option, load_structlog
from guarita.errors import TopologyError

ADDRESS_TAKEN = 3


@click.command("serve")
@config_option
@click.pass_obj
def command(invocation: Invocation) -> None:
    """Serve the HTTP API and the iframe page until SIGTERM or Ctrl-C."""
    settings = invocation.settings()
    load_structlog()
    from guarita import server

    try:
        server.serve(settings)
    except TopologyError as exc:
        click.echo(str(exc), err=True)
        sys.exit(ADDRESS_TAKEN)
