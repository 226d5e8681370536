"""Starts several `guarita` commands as forks of one process that has the modules loaded.

Most of the time that an agent takes to start, it loads modules; six of them on one machine load
them once. Run as a program, this takes the commands as JSON and prints who runs them.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from guarita import processes
from guarita.errors import TopologyError
from guarita.processes import Identity

_LOADED = ("guarita.node.agent", "guarita.node.sentinel_agent")


@dataclass(frozen=True, slots=True)
class Command:
    """Arguments of `guarita`, its working directory and the file its output is added to.

    `network` is the file of the network namespace that it runs in, where that is another one.
    """

    name: str
    arguments: tuple[str, ...]
    cwd: str
    log: str
    network: str = ""


def spawn(commands: Sequence[Command], *, without: tuple[str, ...]) -> Iterator[Identity]:
    """Start them in the background, each in a session of its own; yields each when it runs.

    They inherit the environment but for names that begin with one of `without`. Raises
    `TopologyError` if one cannot be started; those before it run then.
    """
    started = 0
    with subprocess.Popen(  # noqa: S603
        program(commands, asked_by=os.getpid()),
        env=processes.environment(without),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as forks:
        for line in forks.stdout or ():
            yield Identity(**json.loads(line))
            started += 1
        said = forks.stderr.read().splitlines() if forks.stderr else []
    if started < len(commands):
        why = said[-1] if said else f"status {forks.returncode}"
        raise TopologyError(f"{commands[started].name} cannot be started: {why}")


def program(commands: Sequence[Command], *, asked_by: int) -> list[str]:
    """The command line that forks them, as long as the process `asked_by` waits for it."""
    told = json.dumps([asdict(each) for each in commands])
    return [sys.executable, "-m", "guarita.forks", str(asked_by), told]


def main() -> None:
    """Fork what the arguments ask for and tell who it is, a line of JSON each."""
    parent, commands = int(sys.argv[1]), [Command(**each) for each in json.loads(sys.argv[2])]
    gc.disable()  # what is loaded stays: going through it is an eighth of the time
    from guarita.cli import load_structlog

    load_structlog()
    for name in _LOADED:
        importlib.import_module(name)
    gc.freeze()  # so that it stays shared
    gc.enable()
    for command in commands:
        if os.getppid() != parent:
            sys.exit("nobody would know of it")  # whoever asked is gone
        pid = _fork(command)
        print(json.dumps(asdict(processes.identify(pid))), flush=True)  # noqa: T201


def _fork(command: Command) -> int:
    """The pid of the new process, which itself never returns from here."""
    with Path(command.log).open("ab") as output, Path(os.devnull).open("rb") as nothing:
        if pid := os.fork():
            return pid
        for number, file in ((0, nothing), (1, output), (2, output)):
            os.dup2(file.fileno(), number)
    os.setsid()
    if command.network:
        _enter(command.network)
    os.chdir(command.cwd)
    if sys.platform == "linux":
        Path("/proc/self/comm").write_text(command.name)  # as `ps -e` and `top` show it
    from guarita.cli import cli

    cli(command.arguments, prog_name="guarita")
    raise AssertionError("a command ends the process")


def _enter(network: str) -> None:
    """As `nsenter --net` does; Python has `os.setns` since 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(network).open("rb") as namespace:
        if libc.setns(namespace.fileno(), 0):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), network)


if __name__ == "__main__":
    main()
