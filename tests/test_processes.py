from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from guarita import processes
from guarita.processes import Condition, Identity

Sleeper = Callable[..., Identity]
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "
POLITE = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit('bye'));"
    "print('polite', flush=True); "
)
NAP = "import time; time.sleep(60)"


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Sleeper]:
    started: list[Identity] = []

    def start(code: str = NAP) -> Identity:
        log = tmp_path / "log"
        started.append(processes.spawn([sys.executable, "-c", code], cwd=tmp_path, log=log))
        return started[-1]

    yield start
    processes.kill(started)


def test_a_process_is_running_then_paused_then_dead(sleeper: Sleeper) -> None:
    identity = sleeper()
    assert processes.condition(identity) is Condition.RUNNING
    processes.send(identity, signal.SIGSTOP)
    assert processes.wait_until(
        lambda: processes.condition(identity) is Condition.PAUSED, timeout_s=10
    )
    processes.kill([identity])
    assert processes.condition(identity) is Condition.DEAD


def test_a_recycled_pid_is_dead_and_never_signalled(sleeper: Sleeper) -> None:
    living = sleeper()
    earlier = Identity(living.pid, "an earlier start")
    assert processes.condition(earlier) is Condition.DEAD
    assert not processes.send(earlier, signal.SIGKILL)
    processes.stop([earlier], timeout_s=0.1)
    processes.kill([earlier])
    assert processes.condition(living) is Condition.RUNNING


def test_a_deaf_process_is_killed_after_its_time(sleeper: Sleeper, tmp_path: Path) -> None:
    deaf, log = sleeper(DEAF + NAP), tmp_path / "log"
    assert processes.wait_until(lambda: "deaf" in log.read_text(), timeout_s=20)
    processes.stop([deaf], timeout_s=0.2)
    assert processes.condition(deaf) is Condition.DEAD


def test_a_paused_process_hears_that_it_should_stop(sleeper: Sleeper, tmp_path: Path) -> None:
    paused, log = sleeper(POLITE + NAP), tmp_path / "log"
    assert processes.wait_until(lambda: "polite" in log.read_text(), timeout_s=20)
    processes.send(paused, signal.SIGSTOP)
    processes.stop([paused], timeout_s=20)
    assert processes.condition(paused) is Condition.DEAD
    assert "bye" in log.read_text()


def test_killing_ends_what_the_process_started_too(sleeper: Sleeper, tmp_path: Path) -> None:
    code = (
        f"import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); {NAP}"
    )
    parent, log = sleeper(code), tmp_path / "log"
    assert processes.wait_until(lambda: log.read_text().endswith("\n"), timeout_s=20)
    child = processes.identify(int(log.read_text()))
    processes.kill([parent])
    assert processes.wait_until(lambda: processes.condition(child) is Condition.DEAD, timeout_s=10)


def test_a_process_does_not_inherit_what_it_must_not(
    sleeper: Sleeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_HOST", "elsewhere")
    monkeypatch.setenv("KEPT", "yes")
    code = "import os; print(os.environ.get('REDIS_HOST'), os.environ['KEPT'])"
    log = tmp_path / "environment"
    processes.spawn([sys.executable, "-c", code], cwd=tmp_path, log=log, without=("REDIS_",))
    assert processes.wait_until(lambda: log.read_text().endswith("\n"), timeout_s=20)
    assert log.read_text() == "None yes\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no /proc")
def test_an_open_socket_is_seen_while_other_files_come_and_go() -> None:
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            with Path(os.devnull).open():
                pass

    me = Path(f"/proc/{os.getpid()}")
    with ExitStack() as stack:
        lower = [stack.enter_context(Path(os.devnull).open()) for _ in range(20)]
        held = stack.enter_context(socket.socket())
        for each in lower:
            each.close()
        number = os.fstat(held.fileno()).st_ino
        churning = threading.Thread(target=churn)
        churning.start()
        try:
            assert all(processes.has_socket(me, number) for _ in range(100))
            assert not processes.has_socket(me, number + 1_000_000_000)
        finally:
            over.set()
            churning.join()
