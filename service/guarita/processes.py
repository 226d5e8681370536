"""Processes of this machine: started in a session of their own, known by pid and start time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process. The start time tells it apart from a later one with the same pid."""

    pid: int
    started: str


class Condition(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    DEAD = "dead"


# Children of this very process stay zombies until they are waited for.
_children: dict[int, subprocess.Popen[bytes]] = {}


def spawn(argv: Sequence[str], *, cwd: Path, log: Path, without: tuple[str, ...] = ()) -> Identity:
    """Start a process in the background; its output goes to the end of `log`.

    It inherits the environment but for names that begin with one of `without`. It gets a
    session of its own: a Ctrl-C in the terminal must reach only the one who stops all
    processes in order. Raises `OSError` if it cannot be started or the log not written.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603
            argv,
            cwd=cwd,
            env=environment(without),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    seen = _look(child.pid)
    return Identity(child.pid, seen[1] if seen else "gone")


def environment(without: tuple[str, ...]) -> dict[str, str]:
    """This process's environment but for names that begin with one of `without`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(without)}


def identify(pid: int) -> Identity:
    """The process that has this pid now. Raises `ProcessLookupError` if there is none."""
    seen = _look(pid)
    if seen is None:
        raise ProcessLookupError(pid)
    return Identity(pid, seen[1])


def condition(identity: Identity) -> Condition:
    """How this very process is; DEAD also when its pid belongs to another one now."""
    seen = _look(identity.pid)
    if seen is None or seen[1] != identity.started or seen[0] in "ZX":
        _reap(identity.pid)
        return Condition.DEAD
    return Condition.PAUSED if seen[0] in "Tt" else Condition.RUNNING


def _reap(pid: int) -> None:
    child = _children.get(pid)
    if child and child.poll() is not None:
        _children.pop(pid, None)


def send(identity: Identity, number: signal.Signals) -> bool:
    """Send a signal to this very process; False if it is gone."""
    if condition(identity) is Condition.DEAD:
        return False
    try:
        os.kill(identity.pid, number)
    except ProcessLookupError:
        return False
    return True


def resume(identity: Identity) -> None:
    """Let a paused process go on."""
    send(identity, signal.SIGCONT)


def stop(identities: Iterable[Identity], *, timeout_s: float) -> None:
    """End processes: ask all of them, then kill those that are there after `timeout_s`."""
    asked = [each for each in identities if send(each, signal.SIGTERM)]
    for each in asked:
        send(each, signal.SIGCONT)  # a paused process would not hear the SIGTERM
    if not wait_until(lambda: not _alive(asked), timeout_s=timeout_s):
        kill(_alive(asked))


def kill(identities: Iterable[Identity]) -> None:
    """End processes at once, with what they started themselves, and see them gone."""
    killed = [each for each in identities if _kill_group(each)]
    wait_until(lambda: not _alive(killed), timeout_s=10)


def wait_until(done: Callable[[], bool], *, timeout_s: float, pause_s: float = 0.02) -> bool:
    """Poll until `done`; False if `timeout_s` seconds were not enough."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() >= end:
            return False
        time.sleep(pause_s)
    return True


def has_socket(process: Path, inode: int | str) -> bool:
    """Whether this process, by its directory in /proc, has the socket open. Raises `OSError` where
    that cannot be told. It may close others meanwhile, as who looks at his own files does."""
    wanted = f"socket:[{inode}]"
    for each in (process / "fd").iterdir():
        with suppress(FileNotFoundError):
            if os.readlink(each) == wanted:
                return True
    return False


def _kill_group(identity: Identity) -> bool:
    if condition(identity) is Condition.DEAD:
        return False
    try:
        if os.getpgid(identity.pid) == identity.pid:
            os.killpg(identity.pid, signal.SIGKILL)
        else:
            os.kill(identity.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _alive(identities: Iterable[Identity]) -> list[Identity]:
    return [each for each in identities if condition(each) is not Condition.DEAD]


def _look(pid: int) -> tuple[str, str] | None:
    """State letter and start time of a process, or None."""
    return _look_in_proc(pid) if sys.platform == "linux" else _look_with_ps(pid)


def _look_in_proc(pid: int) -> tuple[str, str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): the name in parentheses may hold anything; state is field 3, start time 22.
    fields = text.rpartition(")")[2].split()
    # A zombie with threads is still going: its ports and files are not free yet.
    state = "R" if fields[0] == "Z" and int(fields[17]) > 1 else fields[0]
    return state, f"{_boot_id()}:{fields[19]}"


def _boot_id() -> str:
    """Start times count from the boot, so the boot belongs to them."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _look_with_ps(pid: int) -> tuple[str, str] | None:
    answer = subprocess.run(  # noqa: S603
        ["ps", "-o", "state=,lstart=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "PATH": "/bin:/usr/bin"},
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return (state[0], started.strip()) if state else None
