"""The server as our child process, and what it logs as events of ours."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import structlog

from guarita import processes
from guarita.errors import TopologyError
from guarita.processes import Condition, Identity

PID_FILE = "server.pid"
LAST_LINES = 100
READ_S = 2.0  # for what it wrote last to arrive; what it forked may hold the pipe for ever

# systemd's defaults for a unit that is started again too often: systemd-system.conf(5).
MOST_RESTARTS = 5
RESTARTS_S = 10.0

_log = structlog.get_logger("guarita.node.server")

# Pid, role letter, date, mark of the level, text.
_LINE = re.compile(r"\d+:([A-Z]) \d+ \w+ \d+ [\d:.]+ ([.\-*#]) (.*)")
_SIGNAL = re.compile(r"\d+:signal-handler \(\d+\) (.*)")
_ROLES = {"M": "primary", "S": "replica", "X": "sentinel", "C": "child"}


class Child:
    """One server process. It lives in our session, and in a process group of its own: a Ctrl-C in
    the terminal reaches the agent alone, which hands over first.

    Its output is read all the time: a server that logs into a full pipe would stand still.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.ended = threading.Event()
        """Set once it has ended; made anew by `start`."""
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        """What it wrote last, complete once it has ended; made anew by `start`."""
        self._process: subprocess.Popen[str] | None = None

    def start(self, argv: Sequence[str], directory: Path) -> None:
        """Start it in this directory. Raises `TopologyError` if the program cannot be run."""
        process: subprocess.Popen[str] | None = None
        try:
            process = subprocess.Popen(  # noqa: S603
                argv,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                bufsize=1,
                process_group=0,
                umask=0o077,  # its data, and its configuration when it rewrites that
            )
            _note(directory / PID_FILE, processes.identify(process.pid))
        except OSError as exc:
            if process is not None:
                with process:  # nobody would know of it
                    process.kill()
            raise TopologyError(f"{argv[0]} cannot be started: {exc}") from exc
        self._process, self.ended = process, threading.Event()
        self.last_lines = deque(maxlen=LAST_LINES)
        threading.Thread(
            target=self._follow,
            args=(process, self.ended, self.last_lines),
            name=f"guarita-{self.name}",
            daemon=True,
        ).start()

    @property
    def pid(self) -> int | None:
        """Its pid while it runs."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; negative: by this signal. None while it runs or was never started."""
        return self._process.poll() if self._process is not None else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens where it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, timeout_s: float) -> int:
        """SIGTERM (heard also when it is paused), SIGKILL after `timeout_s`; its exit code."""
        process = self._process
        if process is None:
            return 0
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _log.warning("kill", reason=f"it has not ended {timeout_s:.1f} s after SIGTERM")
            process.kill()
            return process.wait()

    def _follow(
        self, process: subprocess.Popen[str], ended: threading.Event, last_lines: deque[str]
    ) -> None:
        """What the server forks holds the pipe too and may outlive it: so two threads."""
        forward = threading.Thread(target=_forward, args=(process.stdout, last_lines), daemon=True)
        forward.start()
        process.wait()
        forward.join(READ_S)
        ended.set()


class Restarts:
    """Whether a server that crashed is to be started again, or does so all the time."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=MOST_RESTARTS)

    def allow(self, now_s: float) -> bool:
        """Whether it may be, at this time of a monotonic clock; then it counts."""
        too_often = len(self._seconds) == MOST_RESTARTS and now_s - self._seconds[0] < RESTARTS_S
        if not too_often:
            self._seconds.append(now_s)
        return not too_often


def exit_status(code: int) -> int:
    """What we end with where the server ended so: as a shell has it, 128 and more for a signal."""
    return code if code >= 0 else 128 - code


def end_orphan(directory: Path, timeout_s: float = 5.0) -> bool:
    """End a server that an agent which was killed has left in this directory; whether one was.

    It is asked, and killed after `timeout_s`. It is known by pid and start time, so no
    other process is ever taken for it.
    """
    identity = noted_server(directory)
    if identity is None or processes.condition(identity) is Condition.DEAD:
        return False
    processes.stop([identity], timeout_s=timeout_s)
    return True


def noted_server(directory: Path) -> Identity | None:
    """The server that was started last in this directory, whether it is alive or not."""
    try:
        pid, _, started = (directory / PID_FILE).read_text().strip().partition(" ")
        return Identity(int(pid), started)
    except (OSError, ValueError):
        return None


def _note(file: Path, identity: Identity) -> None:
    """At once, so that nobody reads half of it. It need not outlive the machine's next start, and
    until it is there nobody would know of the server: so nothing waits for the disk."""
    draft = file.with_name(f"{file.name}.draft")
    draft.write_text(f"{identity.pid} {identity.started}\n")
    draft.replace(file)


def _forward(output: IO[str], last_lines: deque[str]) -> None:
    with output:
        for line in output:
            last_lines.append(line.rstrip("\n"))
            _tell(last_lines[-1])


def _tell(line: str) -> None:
    found = _LINE.fullmatch(line)
    if heard := _SIGNAL.fullmatch(line):
        _log.info(heard[1])
        return
    if found is None:
        if line.strip():
            _log.warning(line.strip())
        return
    letter, mark, text = found.groups()
    role = _ROLES.get(letter, letter)
    match mark:
        case "#":
            _log.warning(text, role=role)
        case "*":
            _log.info(text, role=role)
        case _:
            _log.debug(text, role=role)
