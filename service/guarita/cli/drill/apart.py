"""A drill in a network and with processes of its own, which end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import IO, cast

import click

from guarita.drill.targets import network

_APART = "--apart"
apart_option = click.option(_APART, "apart", is_flag=True, hidden=True)


def go_apart(*, apart: bool) -> str | None:
    """Play the same command there and end with its status; or say why that cannot be made.

    `apart`: this is that command already.
    """
    if apart:
        if not network.is_apart():
            raise click.UsageError(f"{_APART} is what this command tells itself: leave it out")
        threading.Thread(target=_end_with_stdin, daemon=True).start()
        return None
    if reason := network.lacking():
        return reason
    sys.exit(_play())


def _play() -> int:
    """It hears no signal that is sent to this process, so it is told to end by the end of its
    input: that comes also when this process is killed.
    """
    argv = network.apart([sys.executable, "-m", "guarita", *sys.argv[1:], _APART])
    child = subprocess.Popen(argv, stdin=subprocess.PIPE)  # noqa: S603
    telling = cast("IO[bytes]", child.stdin)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: telling.close())
    return child.wait()


def _end_with_stdin() -> None:
    while os.read(0, 64):  # not through a file of Python's: that is locked while it is read
        pass
    os.kill(os.getpid(), signal.SIGTERM)
