"""What a drill does to containers that Docker itself cannot."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guarita.drill.targets.base import Shape
from guarita.drill.targets.compose import ComposeTarget
from guarita.errors import TopologyError
from guarita.processes import wait_until
from guarita.testing import Installation, engine
from guarita.testing.document import inner_port

pytestmark = pytest.mark.container

_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"


@pytest.fixture
def target(running: Callable[[str], Installation]) -> ComposeTarget:
    return ComposeTarget(running("sentinel"), Shape())


def _reaches(target: ComposeTarget, name: str, other: str) -> bool:
    container = target.installation.container(name)
    try:
        engine.run_inside(container, _CONNECT, other, str(inner_port(other)))
    except TopologyError:
        return False
    return True


def test_a_cut_link_lets_nothing_pass_either_way_until_it_is_mended(target: ComposeTarget) -> None:
    one, two = target.replicas()
    target.cut([one], [two])
    try:
        assert not _reaches(target, one, two)
        assert not _reaches(target, two, one)
        assert _reaches(target, one, target.primary())
    finally:
        target.mend()
    assert _reaches(target, one, two)
    assert _reaches(target, two, one)


def test_a_node_that_is_started_anew_is_still_cut_off(target: ComposeTarget) -> None:
    one, two = target.replicas()
    target.cut([one], [two])
    try:
        target.kill(one)
        target.start_node(one)
        assert not _reaches(target, one, two)
    finally:
        target.mend()


def test_the_server_alone_is_killed_and_its_agent_starts_it_again(target: ComposeTarget) -> None:
    [one, _] = target.replicas()
    before = target.command(one, "INFO", "server")["run_id"]
    target.kill(one, server_only=True)

    def is_new() -> bool:
        try:
            return bool(target.command(one, "INFO", "server")["run_id"] != before)
        except TopologyError:
            return False

    assert wait_until(is_new, timeout_s=60, pause_s=0.1)


@pytest.mark.timed
def test_a_whole_drill_starts_its_own_installation_and_leaves_nothing(
    guarita_image: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    options = ["--target=compose", f"--image={guarita_image}", f"--out={tmp_path}", "--rate=50"]
    with subprocess.Popen(
        [sys.executable, "-m", "guarita", "drill", "run", "D2", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        told, _ = program.communicate(timeout=300)
    assert program.returncode == 0, told
    [row] = re.findall(r"^D2 .*", told, re.MULTILINE)
    figure(f"drill run --target compose: {' '.join(row.split())}")
    form = f'{{{{.Label "{engine.OWNER}"}}}}'
    owners = engine.docker("ps", "--all", f"--filter=label={engine.OWNER}", "--format", form)
    assert str(program.pid) not in owners.split()


def test_a_drill_knows_what_it_is_played_on(target: ComposeTarget) -> None:
    assert {"guarita", "docker"} < set(target.versions())
    assert {sample.node for name in target.nodes if (sample := target.watcher(name)(0))} == set(
        target.nodes
    )
