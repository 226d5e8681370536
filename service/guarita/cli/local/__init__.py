"""`guarita local`: an installation on this machine, to try things out and to develop against."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from guarita import processes
from guarita.cli.local.place import BASE_PORT, Place, StoreKind, is_supervised
from guarita.cli.local.run import claim, run, say, start, stop, welcome
from guarita.cli.local.status import inspect
from guarita.errors import TopologyError
from guarita.topology.local import Condition
from guarita.topology.local.application import Application

F = TypeVar("F", bound=Callable[..., Any])
_PORT = click.IntRange(1, 65535)


class Failed(click.ClickException):
    """What the machine or the installation does not allow: one sentence, status 3."""

    exit_code = 3


class LocalCommands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (TopologyError, OSError) as exc:
            raise Failed(str(exc)) from exc


def directory_option(command: F) -> F:
    return click.option(
        "--directory",
        "place",
        default=".guarita/local",
        show_default=True,
        type=click.Path(file_okay=False, path_type=Path),
        callback=lambda _context, _option, path: Place(path),
        help="Where the installation keeps its data, configuration and logs.",
    )(command)


def start_options(command: F) -> F:
    """What `run` and `up` have in common."""
    for option in (
        click.option(
            "--demo-port", default=8080, show_default=True, type=_PORT, help="The demo site's port."
        ),
        click.option(
            "--port", default=8000, show_default=True, type=_PORT, help="The service's port."
        ),
        click.option(
            "--base-port",
            default=BASE_PORT,
            show_default=True,
            type=click.IntRange(1, 50_000),
            help="Nodes get this plus 1 and up, Sentinels 10000 more.",
        ),
        click.option("--server", help="valkey-server or redis-server to run, as a name or path."),
        click.option(
            "--store",
            default=StoreKind.SENTINEL,
            show_default=True,
            type=click.Choice(StoreKind, case_sensitive=False),
            help="What to install; memory needs no server.",
        ),
        directory_option,
    ):
        command = option(command)
    return command


def _application(
    place: Place, store: StoreKind, server: str | None, base_port: int, port: int, demo_port: int
) -> Application:
    installation = place.installation(store, server=server, base_port=base_port)
    return Application(place.directory(store), store, installation, port, demo_port)


@click.group(cls=LocalCommands)
def command() -> None:
    """An installation on this machine: real processes on 127.0.0.1."""


@command.command("run")
@start_options
def run_command(place: Place, store: StoreKind, **options: Any) -> None:
    """Start everything in the foreground; Ctrl-C stops it."""
    run(place, store, _application(place, store, **options), Console(highlight=False))


@command.command()
@start_options
@click.option("--servers-only", is_flag=True, help="Neither the service nor the demo site.")
def up(place: Place, store: StoreKind, servers_only: bool, **options: Any) -> None:
    """Start everything in the background, or what is missing of it."""
    console = Console(highlight=False)
    application = _application(place, store, **options)
    if servers_only and application.installation is None:
        raise click.UsageError("--servers-only leaves nothing to start with the memory store.")
    claim(place, store, foreground=False)
    start(application, console, with_service=not servers_only, stopping=lambda: False)
    if servers_only:
        say(console, f"Ready. Logs: {application.directory}/*/server.log")
    else:
        welcome(application, console)


@command.command()
@directory_option
@click.option("--wipe", is_flag=True, help="Remove its data and logs as well.")
def down(place: Place, wipe: bool) -> None:
    """Stop everything that `run` or `up` started here."""
    stores = [store for store in StoreKind if place.file(store).path.exists()]
    running = place.running()
    for store in stores:
        _stop_supervisor(place, store)
        stop(place, store)
        if wipe:
            shutil.rmtree(place.directory(store))
    click.echo("Stopped." if running else "Nothing was running.")


def _stop_supervisor(place: Place, store: StoreKind) -> None:
    """A `run` stops what it started; it only has to be told, and given its time."""
    state = place.file(store).read()
    if state is None or state.supervisor is None or not is_supervised(state):
        return
    supervisor = state.supervisor
    processes.send(supervisor, signal.SIGTERM)
    processes.wait_until(
        lambda: processes.condition(supervisor) is Condition.DEAD, timeout_s=30, pause_s=0.1
    )


@command.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(place: Place, as_json: bool) -> None:
    """Show roles, ports, links, and whom the Sentinels name; status 3 when nothing runs."""
    seen = inspect(place)
    if as_json:
        click.echo(json.dumps(seen.as_json(), indent=2))
    else:
        Console(highlight=False).print(seen.as_table())
    if not seen.running:
        raise click.exceptions.Exit(Failed.exit_code)


@command.command("kill-primary")
@directory_option
def kill_primary(place: Place) -> None:
    """kill -9 the primary."""
    node = place.nodes().kill_primary()
    click.echo(f"Killed the primary {node}; `guarita local start` starts it again.")


@command.command("pause-primary")
@directory_option
def pause_primary(place: Place) -> None:
    """Freeze the primary (SIGSTOP)."""
    node = place.nodes().pause_primary()
    click.echo(f"Paused the primary {node}; `guarita local resume` lets it go on.")


@command.command()
@directory_option
def resume(place: Place) -> None:
    """Let paused nodes go on (SIGCONT)."""
    installation = place.nodes()
    nodes = (*installation.nodes, *installation.sentinels)
    paused = [node for node in nodes if installation.condition(node) is Condition.PAUSED]
    for node in paused:
        installation.resume(node)
    click.echo(f"Resumed {', '.join(map(str, paused))}." if paused else "No node is paused.")


@command.command("start")
@directory_option
def start_command(place: Place) -> None:
    """Start dead nodes again, with their data."""
    installation = place.nodes()
    nodes = (*installation.nodes, *installation.sentinels)
    dead = [node for node in nodes if installation.condition(node) is Condition.DEAD]
    for node in dead:
        installation.start(node)
    click.echo(f"Started {', '.join(map(str, dead))}." if dead else "Every node is running.")
