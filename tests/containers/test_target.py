"""What a drill does to containers that Docker itself cannot."""

from __future__ import annotations

from collections.abc import Callable

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


def test_a_drill_knows_what_it_is_played_on(target: ComposeTarget) -> None:
    assert {"guarita", "docker"} < set(target.versions())
    assert {sample.node for name in target.nodes if (sample := target.watcher(name)(0))} == set(
        target.nodes
    )
