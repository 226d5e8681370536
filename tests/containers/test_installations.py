"""The installations of `guarita.testing`: the published calls from outside, and a clean end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from guarita.processes import wait_until
from guarita.testing import Installation, StandaloneInstallation, engine

from .breaking import KINDS

pytestmark = pytest.mark.container

_LONG_S = 120.0
# Says what it is called as soon as that is known, and then how far it has come.
_PROGRAM = """
import signal, sys, time
from guarita.testing import StandaloneInstallation
# In the background a shell has it ignored, by whoever runs the tests too.
signal.signal(signal.SIGINT, signal.default_int_handler)
installation = StandaloneInstallation(sys.argv[1])
print(installation.project, flush=True)
with installation:
    print("well", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("topology", KINDS)
def test_the_four_published_calls_answer(
    running: Callable[[str], Installation], topology: str
) -> None:
    client = running(topology).client()
    ticket = client.create()
    path = f"/auth/validate-session?session_id={ticket}"
    answer = client.call("GET", path)
    assert (answer.status, answer.body["valid"], answer.body["storage"]) == (200, True, "redis")
    assert client.call("GET", path).status == 401
    status = client.status()
    assert (status["redis_healthy"], status["storage"]) == (True, "redis")
    assert status["total_created"] >= status["total_used"] >= 1
    health = client.call("GET", "/auth/redis-health")
    assert (health.status, health.body["status"]) == (200, "healthy")


def test_without_the_key_nobody_creates(running: Callable[[str], Installation]) -> None:
    client = running("standalone").client()
    assert client.call("POST", "/auth/create-session").status == 403


@pytest.mark.parametrize("topology", KINDS)
def test_every_port_is_on_loopback_alone(
    running: Callable[[str], Installation], topology: str
) -> None:
    installation = running(topology)
    for name in installation.layout.everybody:
        told = engine.docker(
            "inspect", "--format", "{{json .NetworkSettings.Ports}}", installation.container(name)
        )
        hosts = [each["HostIp"] for ports in json.loads(told).values() for each in ports or ()]
        assert hosts == ["127.0.0.1"], name


def test_each_container_says_what_it_does(running: Callable[[str], Installation]) -> None:
    installation = running("sentinel")
    assert "guarita.node" in installation.logs("node-1")
    assert "== sentinel-3" in installation.logs()


def test_a_container_that_is_not_there_is_named_with_those_that_are(
    running: Callable[[str], Installation],
) -> None:
    with pytest.raises(engine.TopologyError, match="no node-9 here, only service-1, node-1"):
        running("standalone").connect("node-9")


def test_nobody_can_take_over_from_a_single_server(
    running: Callable[[str], Installation],
) -> None:
    with pytest.raises(engine.TopologyError, match="nobody who could take over"):
        running("standalone").switchover()


@pytest.mark.parametrize("topology", ["sentinel", "cluster"])
def test_a_switchover_keeps_every_ticket(
    running: Callable[[str], Installation], topology: str
) -> None:
    installation = running(topology)
    client = installation.client()
    tickets = [client.create() for _ in range(20)]
    old = installation.primary()
    new = installation.switchover()
    assert new != old
    assert installation.primary() == new
    assert all(client.redeem(ticket) for ticket in tickets)


# The end


def _left(project: str) -> list[str]:
    return [*engine.containers(project), *engine.networks(project), *engine.volumes(project)]


def _mounts(project: str) -> list[str]:
    every = engine.containers(project)
    volumes = "{{range .Mounts}}{{.Name}} {{end}}"
    return engine.docker("inspect", "--format", volumes, *every).split()


def test_nothing_is_left_behind_when_a_test_fails(guarita_image: str) -> None:
    installation = StandaloneInstallation(guarita_image)
    volumes: list[str] = []

    def failing_test() -> None:
        with installation:
            volumes.extend(_mounts(installation.project))
            installation.pause_primary()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_test()
    assert volumes
    assert _left(installation.project) == []
    assert not set(engine.docker("volume", "ls", "--quiet").split()) & set(volumes)


def _run(image: str) -> tuple[subprocess.Popen[str], str]:
    """A program of its own that starts an installation, and what that is called."""
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, image],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C is for the whole of it, as in a terminal
    )
    assert program.stdout
    return program, program.stdout.readline().strip()


@pytest.mark.parametrize("when", ["while it starts", "when it is well"])
def test_nothing_is_left_behind_after_ctrl_c(guarita_image: str, when: str) -> None:
    program, project = _run(guarita_image)
    with program:
        if when == "when it is well":
            assert program.stdout
            assert program.stdout.readline() == "well\n"
        else:
            assert wait_until(lambda: bool(engine.networks(project)), timeout_s=_LONG_S)
        os.killpg(program.pid, signal.SIGINT)
        assert program.wait(_LONG_S) != 0
    assert _left(project) == []


def test_what_a_killed_run_left_is_gone_after_the_next_start(guarita_image: str) -> None:
    program, project = _run(guarita_image)
    with program:
        assert program.stdout
        assert program.stdout.readline() == "well\n"
        assert _left(project)  # once it is killed, any start may sweep it away
        program.kill()
    engine.sweep()
    assert _left(project) == []


def test_what_others_still_use_is_not_swept_away(running: Callable[[str], Installation]) -> None:
    installation = running("standalone")
    engine.sweep()
    assert installation.obstacle() is None
