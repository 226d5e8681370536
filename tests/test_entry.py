"""How the command begins."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

# In place of all that the command loads.
LOADING = """
import sys, time, types
import guarita.entry
cli = types.ModuleType("guarita.cli")
cli.main = lambda: (print("loads", flush=True), time.sleep(60))
sys.modules["guarita.cli"] = cli
guarita.entry.main()
"""
FIRST = ("unshare", "--pid", "--fork", "--kill-child")  # as in a container


def _child_of(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return int(children.read().split()[0])


def test_the_first_process_of_a_container_ends_when_it_is_told_to_while_it_still_loads() -> None:
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root makes a process the first one of a namespace, on Linux")
    command = [*FIRST, sys.executable, "-c", LOADING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout
        assert outer.stdout.readline() == "loads\n"
        os.kill(_child_of(outer.pid), signal.SIGTERM)
        assert outer.wait(10) == 128 + signal.SIGTERM


def test_any_other_process_ends_by_the_signal_itself() -> None:
    with subprocess.Popen([sys.executable, "-c", LOADING], stdout=subprocess.PIPE) as program:
        assert program.stdout
        assert program.stdout.readline() == b"loads\n"
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == -signal.SIGTERM
