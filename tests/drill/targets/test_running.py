"""An installation that runs already, broken by a command, and never started or ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guarita.drill.faults import FAULTS
from guarita.drill.targets.base import Shape, Terms
from guarita.drill.targets.running import RunningTarget, place_of
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


def test_it_is_loaded_broken_by_a_command_and_judged(running: str, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(OWN.format(tmp_path))
    words = ["drill", "run", "--url", f"http://{running}", "--yes-break-it", running]
    words += ["--file", own, "--rate", "50", "--duration", "4", "--json", "--out", tmp_path / "out"]
    config = ["--config", str(tmp_path / "guarita.yaml")]
    ended = subprocess.run(
        [sys.executable, "-m", "guarita", *config, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout)
    assert (told["verdict"], told["figures"]["lost"]) == ("valid", 0)
    assert told["drill"]["target"] == "running"
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
