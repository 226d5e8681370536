from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from guarita import forks, processes
from guarita.errors import TopologyError
from guarita.forks import Command
from guarita.processes import Condition


def version(name: str, cwd: Path, log: Path) -> Command:
    return Command(name, ("--version",), str(cwd), str(log))


def has_ended(identity: processes.Identity) -> bool:
    """Whether it has, in time."""
    return processes.wait_until(
        lambda: processes.condition(identity) is Condition.DEAD, timeout_s=10
    )


def test_commands_run_in_the_background_and_add_what_they_say_to_their_logs(tmp_path: Path) -> None:
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    logs[0].write_text("before\n")
    commands = [version(log.stem, tmp_path, log) for log in logs]
    for identity in forks.spawn(commands, without=()):
        assert has_ended(identity)
    texts = [log.read_text() for log in logs]
    assert texts[0].startswith("before\nguarita ")
    assert texts[1].startswith("guarita ")


def test_what_is_wrong_with_a_command_is_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (identity,) = forks.spawn([Command("a", ("bake",), str(tmp_path), str(log))], without=())
    assert has_ended(identity)
    assert "No such command 'bake'" in log.read_text()


def test_a_log_that_cannot_be_written_is_told_with_the_name_of_the_command(tmp_path: Path) -> None:
    good, bad = tmp_path / "log", tmp_path / "missing" / "log"
    started = forks.spawn(
        [version("first", tmp_path, good), version("second", tmp_path, bad)], without=()
    )
    assert next(started).pid
    with pytest.raises(TopologyError, match=r"^second cannot be started: .*missing/log"):
        next(started)


def test_a_network_that_cannot_be_entered_is_in_the_log_and_nothing_runs(tmp_path: Path) -> None:
    log, network = tmp_path / "log", tmp_path / "no network"
    command = Command("a", ("--version",), str(tmp_path), str(log), str(network))
    (identity,) = forks.spawn([command], without=())
    assert has_ended(identity)
    assert f"'{network}'" in log.read_text()
    assert "guarita 0" not in log.read_text()


def test_nothing_is_started_for_somebody_who_is_gone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    told = forks.program([version("a", tmp_path, log)], asked_by=os.getppid())
    done = subprocess.run(told, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert not log.exists()
