"""The server as a child process."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from guarita import processes
from guarita.errors import TopologyError
from guarita.node.child import MOST_RESTARTS, PID_FILE, Child, Restarts, end_orphan, noted_server
from guarita.processes import Condition

NAP = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
LINES = [
    "1234:M 01 Aug 2026 12:00:00.123 * Ready to accept connections tcp",
    "1234:S 01 Aug 2026 12:00:00.123 # Failed to resolve hostname",
    "1234:X 01 Aug 2026 12:00:00.123 - Accepted 127.0.0.1:4242",
    "1234:signal-handler (1795531251) Received SIGTERM scheduling shutdown...",
    "*** FATAL CONFIG FILE ERROR ***",
    "",
]


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child("test")
    yield child
    child.stop(0)


def test_its_note_is_always_whole(child: Child, tmp_path: Path) -> None:
    def start() -> None:
        child.start(["true"], tmp_path)
        child.ended.wait(5)

    start()
    seen: list[object] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            seen.append(noted_server(tmp_path))

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(50):
        start()
    is_over.set()
    looking.join()
    assert seen
    assert None not in seen


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_child_runs_in_its_directory_and_ends_when_it_is_told(
    child: Child, tmp_path: Path
) -> None:
    assert (child.pid, child.exit_code) == (None, None)
    child.start(python(f"open('here', 'w').close(); {NAP}"), tmp_path)
    assert processes.wait_until((tmp_path / "here").exists, timeout_s=20)
    assert (tmp_path / "here").stat().st_mode & 0o077 == 0
    assert child.pid
    assert not child.ended.is_set()
    assert child.stop(20) == -signal.SIGTERM
    assert child.ended.wait(20)
    assert (child.pid, child.exit_code) == (None, -signal.SIGTERM)


def test_a_ctrl_c_in_the_terminal_does_not_reach_it(child: Child, tmp_path: Path) -> None:
    child.start(python(NAP), tmp_path)
    assert child.pid is not None
    assert os.getpgid(child.pid) != os.getpgid(0)
    assert os.getsid(child.pid) == os.getsid(0)


def test_a_child_that_ends_by_itself_is_noticed_and_can_be_started_again(
    child: Child, tmp_path: Path
) -> None:
    child.start(python("raise SystemExit(7)"), tmp_path)
    first = child.ended
    assert first.wait(20)
    assert child.exit_code == 7
    child.start(python(NAP), tmp_path)
    assert not child.ended.is_set()
    assert child.ended is not first


def test_a_paused_child_hears_that_it_should_stop_and_a_deaf_one_is_killed(
    child: Child, tmp_path: Path
) -> None:
    child.start(python(NAP), tmp_path)
    child.send(signal.SIGSTOP)
    assert child.stop(20) == -signal.SIGTERM
    child.start(python(f"{DEAF}open('deaf', 'w').close(); {NAP}"), tmp_path)
    assert processes.wait_until((tmp_path / "deaf").exists, timeout_s=20)
    assert child.stop(0.1) == -signal.SIGKILL


def test_the_lines_of_a_server_are_events_with_its_levels(child: Child, tmp_path: Path) -> None:
    with capture_logs() as events:
        child.start(python("\n".join(f"print({line!r})" for line in LINES)), tmp_path)
        assert processes.wait_until(lambda: len(events) == 5, timeout_s=20)
    assert events == [
        {"event": "Ready to accept connections tcp", "role": "primary", "log_level": "info"},
        {"event": "Failed to resolve hostname", "role": "replica", "log_level": "warning"},
        {"event": "Accepted 127.0.0.1:4242", "role": "sentinel", "log_level": "debug"},
        {"event": "Received SIGTERM scheduling shutdown...", "log_level": "info"},
        {"event": "*** FATAL CONFIG FILE ERROR ***", "log_level": "warning"},
    ]


def test_a_program_that_is_not_there_is_said_in_one_sentence(child: Child, tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="no-such-server cannot be started"):
        child.start(["/no-such-server"], tmp_path)


def test_a_server_whose_pid_cannot_be_noted_does_not_run_on(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk: nobody would know of it, and the next one would start beside it."""
    started: list[processes.Identity] = []

    def full(path: Path, _text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    def identified(pid: int) -> processes.Identity:
        started.append(identify(pid))
        return started[-1]

    identify = processes.identify
    monkeypatch.setattr(processes, "identify", identified)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(TopologyError, match=r"cannot be started: .*No space left"):
        child.start(python(NAP), tmp_path)
    assert [processes.condition(each) for each in started] == [Condition.DEAD]
    assert child.pid is None


def test_what_a_killed_agent_left_is_ended_and_nobody_else(child: Child, tmp_path: Path) -> None:
    assert not end_orphan(tmp_path)
    code = (
        "import sys; from pathlib import Path; from guarita.node.child import Child; "
        f"Child('server').start([sys.executable, '-c', {NAP!r}], Path.cwd()); "
        "print('started', flush=True); import time; time.sleep(60)"
    )
    child.start(python(code), tmp_path)
    agent = processes.identify(child.pid or 0)
    note = tmp_path / PID_FILE
    assert processes.wait_until(
        lambda: note.read_text().split()[:1] not in ([], [str(agent.pid)]), timeout_s=20
    )
    server = processes.identify(int(note.read_text().split()[0]))
    # It has told that it is up: later nobody reads that any more.
    assert processes.wait_until(
        lambda: any(each.split()[-1] == "up" for each in [*child.last_lines]), timeout_s=20
    )
    child.send(signal.SIGKILL)
    assert child.ended.wait(20)
    assert processes.condition(server) is Condition.RUNNING
    earlier = note.read_text()
    note.write_text(f"{server.pid} an earlier start\n")
    assert not end_orphan(tmp_path)
    assert processes.condition(server) is Condition.RUNNING
    note.write_text(earlier)
    assert end_orphan(tmp_path)
    assert processes.condition(server) is Condition.DEAD


def test_a_server_that_crashes_all_the_time_is_given_up_and_one_killed_now_and_then_is_not():
    restarts = Restarts()
    assert [restarts.allow(now_s) for now_s in range(MOST_RESTARTS + 1)] == [True] * 5 + [False]
    restarts = Restarts()
    assert all(restarts.allow(now_s * 2.5) for now_s in range(30))
