"""`guarita cluster form`: one Cluster of servers that run, at a first start and after trouble."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

import click

from guarita.cli import Invocation, config_option
from guarita.config import check_cluster
from guarita.errors import TopologyError

NOT_WHOLE = 3


@click.group("cluster")
def command() -> None:
    """Make a Redis or Valkey Cluster of servers that run."""


@command.command("form")
@config_option
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="How long it may take until the Cluster is whole.",
)
@click.option(
    "--every",
    "every_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Go on until SIGTERM, and look again this often.",
)
@click.pass_obj
def form(invocation: Invocation, timeout_s: float, every_s: float | None) -> None:
    """Make one Cluster of store.cluster.nodes, and put it together again where it fell apart.

    Asks every node, and does what is missing: nodes meet, also at new addresses; the first time
    the slots go to the first nodes of the list; who has no slots follows the primary with
    fewest replicas. It never gives out slots that had an owner, nor makes one Cluster of two.
    It may run at any time, and twice at once. Ends with status 0 when the Cluster is whole, 3
    when it is not, 2 when the configuration is wrong.
    """
    settings = invocation.settings()
    check_cluster(settings)
    # Late: the command line must not wait for what it does not need.
    from guarita.clients import client
    from guarita.topology import cluster

    store = settings.store

    def once() -> str:
        return cluster.form(
            [(each.host, each.port) for each in store.cluster.nodes],
            lambda node: client(node, store.data, store.connect_timeout_s, store.io_timeout_s),
            replicas=store.cluster.replicas,
            timeout_s=timeout_s,
            tell=click.echo,
        )

    # As the first process of a container it would hear of no SIGTERM without a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM if not every_s else 0))
    if every_s:
        _keep(once, every_s)
    try:
        click.echo(f"the Cluster is whole: {once()}")
    except TopologyError as exc:
        click.echo(str(exc), err=True)
        sys.exit(NOT_WHOLE)


def _keep(once: Callable[[], str], every_s: float) -> NoReturn:
    """Each state is told when it is another one than before."""
    told = ""
    while True:
        try:
            state = f"the Cluster is whole: {once()}"
        except TopologyError as exc:
            state = str(exc)
        if state != told:
            told = state
            click.echo(state)
        time.sleep(every_s)
