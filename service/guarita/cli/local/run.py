"""`guarita local run`: everything in the foreground, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from guarita import processes
from guarita.cli.local.place import Place, StoreKind, is_supervised
from guarita.cli.local.watch import Watch
from guarita.errors import TopologyError
from guarita.topology.local.application import Application

READY_WITHIN_S = 60.0
_PAUSE_S = 0.2


class Interrupts:
    """Notes a wish to stop, which is heard at the next safe point, not in the midst of a start.

    A wish that comes while everything is being stopped changes nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a hang-up stays ignored.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.asked = True


def claim(place: Place, store: StoreKind, *, foreground: bool) -> None:
    """Make sure that nothing else runs here; clean up after a `run` that was killed.

    Raises `TopologyError` when another command runs an installation here.
    """
    for each in place.running():
        state = place.file(each).read()
        if is_supervised(state):
            raise TopologyError(
                f"`guarita local run` with the {each} store runs here already (pid "
                f"{state.supervisor.pid if state and state.supervisor else '?'}): "
                "stop it with Ctrl-C there, or with `guarita local down`."
            )
        if state and state.supervisor:
            stop(place, each)
        elif foreground or each is not store:
            raise TopologyError(
                f"A {each} installation runs here already in the background: "
                "stop it with `guarita local down`."
            )


def stop(place: Place, store: StoreKind) -> None:
    """Stop the service, the demo, the Sentinels and the data nodes of a store, in this order."""
    installation = place.installation(store)
    Application(place.directory(store), store, installation).stop()
    if installation:
        installation.down()
    file = place.file(store)
    with file.changing():
        file.note(supervisor=None)


def start(
    application: Application, console: Console, *, with_service: bool, stopping: Callable[[], bool]
) -> bool:
    """Start nodes, service and demo, and wait until they are ready, telling the progress.

    False if it was asked to stop meanwhile. Raises `TopologyError`.
    """
    installation = application.installation
    with console.status("Starting …") as status:

        def wait(obstacle: Callable[[], str | None]) -> bool:
            end = time.monotonic() + READY_WITHIN_S
            while not stopping() and (reason := obstacle()):
                if time.monotonic() > end:
                    raise TopologyError(
                        f"Not ready after {READY_WITHIN_S:g} s: {reason}. "
                        f"Logs: {application.directory}"
                    )
                status.update(Text(f"Waiting: {reason} …"))
                time.sleep(_PAUSE_S)
            return not stopping()

        if installation:
            say(console, f"Starting the {application.store} installation …")
            installation.launch()
            if not wait(installation.obstacle):
                return False
            primaries = ", ".join(str(node) for node in installation.primaries())
            say(console, f"Data nodes are ready, primary: {primaries}")
        if with_service:
            say(console, "Starting the service and the demo site …")
            application.launch()
            return wait(application.obstacle)
    return not stopping()


def run(place: Place, store: StoreKind, application: Application, console: Console) -> None:
    """Start everything, tell what happens, and stop everything at Ctrl-C, SIGTERM or SIGHUP.

    Raises `TopologyError` when a start fails, or when the service or the demo ends by itself.
    """
    interrupts = Interrupts()
    claim(place, store, foreground=True)
    with application.file.changing():
        application.file.note(store=store, supervisor=processes.identify(os.getpid()))
    try:
        if start(application, console, with_service=True, stopping=lambda: interrupts.asked):
            welcome(application, console)
            say(console, "Ctrl-C stops everything.")
            _follow(application, console, interrupts)
    except TopologyError:
        # Ctrl-C also reaches a node that was forked this moment and has no session of its own yet.
        if not interrupts.asked:
            raise
    finally:
        say(console, "Stopping …")
        stop(place, store)
    say(console, "Stopped.")


def _follow(application: Application, console: Console, interrupts: Interrupts) -> None:
    installation = application.installation
    watch = Watch(installation) if installation else None
    while not interrupts.asked:
        application.check_alive()
        for line in watch.news() if watch else ():
            say(console, f"{time.strftime('%H:%M:%S')} {line}")
        time.sleep(_PAUSE_S)


def welcome(application: Application, console: Console) -> None:
    """The addresses, and what to try."""
    command, logs = _command(), _short(application.directory)
    lines = [
        "",
        f"Guarita is ready with the {application.store} store.",
        "",
        f"  Demo page   {application.demo_url}",
        f"  Service     {application.url}",
        f"  Logs        {logs}/*.log" + (f" {logs}/*/*.log" if application.installation else ""),
        "",
        "Make a ticket, then redeem it (the second time it is refused):",
        f"  curl -s -X POST {application.url}/auth/create-session",
        f"  curl -s '{application.url}/auth/validate-session?session_id=ID'",
    ]
    if application.store in {StoreKind.SENTINEL, StoreKind.CLUSTER}:
        lines += [
            "",
            "Kill the primary: the page and the calls go on working.",
            f"  {command} local kill-primary",
            f"  {command} local start          brings the dead node back",
        ]
    for line in [*lines, ""]:
        say(console, line)


def say(console: Console, line: str) -> None:
    """One line as it is; a terminal that is gone is no reason to stop half-way."""
    try:
        console.print(Text(line), soft_wrap=True)
    except OSError:
        console.quiet = True


def _command() -> str:
    called = Path(sys.argv[0])
    return str(called) if called.name == "guarita" else "guarita"


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
