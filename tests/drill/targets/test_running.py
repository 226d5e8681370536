"""An installation that runs already, broken by a command, and never started or ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guarita.config import Durability
from guarita.drill import playing
from guarita.drill.faults import FAULTS
from guarita.drill.faults.commands import Command
from guarita.drill.run import Runner
from guarita.drill.scenarios import Scenario
from guarita.drill.targets.base import Shape, Terms
from guarita.drill.targets.running import RunningTarget, place_of
from guarita.drill.workload import load
from guarita.drill.workload.client import request_of
from guarita.errors import TopologyError
from guarita.processes import wait_until
from guarita.topology.local.ports import free_ports

OWN = """
scenarios:
  - id: nothing-much
    title: a command of my own
    faults:
      - command: {{run: [touch, {0}/broken], undo: [rm, {0}/broken], for_s: 1}}
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[str]:
    """A service on the memory store; its address."""
    bind = f"127.0.0.1:{free_ports(1)[0]}"
    config = tmp_path / "guarita.yaml"
    config.write_text(
        f"server: {{bind: '{bind}', workers: 1}}\n"
        "store: {topology: memory}\nsessions: {max_sessions: 0}\n"
    )
    with (tmp_path / "service.log").open("w") as log:
        service = subprocess.Popen(
            [sys.executable, "-m", "guarita", "--config", str(config), "serve"],
            stdout=log,
            stderr=log,
        )
        target = target_at(bind)
        assert wait_until(lambda: target.obstacle() is None, timeout_s=30)
        yield bind
        assert service.poll() is None, "the drill has ended what it did not start"
        service.terminate()
        service.wait()


def target_at(bind: str) -> RunningTarget:
    return RunningTarget(place_of(f"http://{bind}"), Shape(), api_key="", terms=Terms())


def started(running: str, directory: Path, own: str) -> subprocess.Popen[str]:
    """A drill of it; in a session of its own, as in a terminal."""
    file = directory / "own.yaml"
    file.write_text(own)
    words = ["drill", "run", "--url", f"http://{running}", "--yes-break-it", running]
    words += ["--file", file, "--rate", "50", "--duration", "4", "--json"]
    config = ["--config", directory / "guarita.yaml"]
    return subprocess.Popen(
        [sys.executable, "-m", "guarita", *map(str, (*config, *words, "--out", directory / "out"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_it_is_loaded_broken_by_a_command_and_judged(running: str, tmp_path: Path) -> None:
    drill = started(running, tmp_path, OWN.format(tmp_path))
    out, error = drill.communicate(timeout=120)
    assert drill.returncode == 0, out + error
    told = json.loads(out)
    assert (told["verdict"], told["figures"]["lost"]) == ("valid", 0)
    assert told["drill"]["target"] == "running"
    assert not (tmp_path / "broken").exists()


def test_what_a_drill_did_is_taken_away_when_it_is_told_to_end(
    running: str, tmp_path: Path
) -> None:
    drill = started(running, tmp_path, OWN.format(tmp_path).replace("for_s: 1", "for_s: 600"))
    assert wait_until(lambda: (tmp_path / "broken").exists(), timeout_s=60)
    os.killpg(drill.pid, signal.SIGINT)
    out, error = drill.communicate(timeout=120)
    assert (drill.returncode, json.loads(out)["verdict"]) == (2, "unknown"), out + error
    assert not (tmp_path / "broken").exists()


def test_a_change_that_is_under_way_is_ended_and_then_taken_away(
    running: str, tmp_path: Path
) -> None:
    """Not cut off: a half of it would stay."""
    slow = f"[sh, -c, 'touch {tmp_path}/begun; sleep 2; touch {tmp_path}/broken']"
    own = OWN.format(tmp_path).replace(f"[touch, {tmp_path}/broken]", slow)
    drill = started(running, tmp_path, own)
    assert wait_until(lambda: (tmp_path / "begun").exists(), timeout_s=60)
    os.killpg(drill.pid, signal.SIGINT)
    out, error = drill.communicate(timeout=120)
    assert (drill.returncode, json.loads(out)["verdict"]) == (2, "unknown"), out + error
    assert "could not be healed" not in out
    assert not (tmp_path / "broken").exists()


def test_a_fault_that_cannot_be_taken_away_leaves_nothing_to_tell(
    running: str, tmp_path: Path
) -> None:
    own = OWN.format(tmp_path).replace(f"rm, {tmp_path}/broken", "rm, /nowhere/broken")
    drill = started(running, tmp_path, own)
    out, error = drill.communicate(timeout=120)
    assert drill.returncode == 2, out + error
    [why] = json.loads(out)["unmet"]
    assert why.startswith("command could not be healed: rm ended with 1")


def test_what_takes_no_writes_is_not_broken(
    running: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as where the API key is wrong."""
    monkeypatch.setattr(playing, "STEADY_WITHIN_S", 0.5)
    monkeypatch.setattr(load, "request_of", lambda *_, **__: request_of("GET", "/auth/nowhere"))
    target = target_at(running)
    plan = playing.Plan(50.0, 1, Durability.BALANCED, tmp_path / "out", lead_s=0.5)
    scenario = Scenario("x", "a command", "", (Command(run=("touch", f"{tmp_path}/broken")),))
    runner = Runner(plan, lambda *_: target, lambda *_: None)
    with pytest.raises(TopologyError, match=r"no write succeeded within 1 s, .* status 404"):
        list(runner.play([(scenario, 0)]))
    assert not (tmp_path / "broken").exists()


def test_no_fault_but_a_command_applies_to_what_is_known_by_its_url() -> None:
    target = target_at("127.0.0.1:1")
    applies = {name for name, fault in FAULTS.items() if fault().lacks(target) is None}
    assert applies == {"command"}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://a.example", ("a.example", "a.example", 80, False)),
        ("https://a.example:8443/", ("a.example:8443", "a.example", 8443, True)),
    ],
)
def test_a_url_is_a_place(url: str, place: tuple[str, str, int, bool]) -> None:
    found = place_of(url)
    assert (found.name, found.host, found.port, found.tls) == place
