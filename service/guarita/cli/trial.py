"""`guarita trial`: makes a ticket and redeems it, to show that an installation works."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from guarita import logs
from guarita.cli import Invocation, config_option
from guarita.cli.health import to_url
from guarita.config import Level, LogSettings, Settings, Topology

FAILED = 1


@click.command("trial")
@config_option
@click.option("--url", help="Through the service at this address, else through the store itself.")
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds the API key, for --url.",
)
@click.option(
    "--patience",
    "patience_s",
    metavar="SECONDS",
    default=0.0,
    type=click.FloatRange(0),
    help="Try again for so long.",
)
@click.pass_obj
def command(
    invocation: Invocation, url: str | None, key_file: Path | None, patience_s: float
) -> None:
    """Make a ticket, redeem it, and see that nobody else can. Status 1 if that is not so."""
    attempt = _service(url, key_file) if url else _store(invocation.settings())
    end_s = time.monotonic() + patience_s
    while (obstacle := attempt()) is not None:
        if time.monotonic() >= end_s:
            click.echo(obstacle, err=True)
            sys.exit(FAILED)
        time.sleep(0.2)
    click.echo("a ticket was made, redeemed once, and refused to another")


def _service(url: str, key_file: Path | None) -> Callable[[], str | None]:
    from guarita import trial

    to_url(url)  # that it is one, before anything is tried
    key = key_file.read_text("utf-8").strip() if key_file else None
    return lambda: trial.through_service(lambda: to_url(url), key)


def _store(settings: Settings) -> Callable[[], str | None]:
    if settings.store.topology is Topology.MEMORY:
        raise click.UsageError("the memory store lives inside the service: use --url")
    # Late: the command line must not wait for what it does not need.
    from guarita import trial
    from guarita.wsgi import open_sessions, secret_of

    # Not into the service's own files, and nothing but trouble.
    logs.configure(settings.model_copy(update={"logs": LogSettings(level=Level.ERROR)}))

    def attempt() -> str | None:
        sessions = open_sessions(settings, secret_of(settings))
        try:
            return trial.through_store(sessions, settings.store.deadline_s)
        finally:
            sessions.store.close()

    return attempt
