"""`guarita local` as its users call it: real commands, real servers, the real service."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner

from guarita import processes
from guarita.cli import cli
from guarita.errors import ServerMissing
from guarita.processes import Identity
from guarita.servers import find_server
from guarita.topology.local import Condition, LocalStandalone, ports
from guarita.topology.local.state import State

GUARITA = [sys.executable, "-m", "guarita"]
READY = "Ctrl-C stops everything."
STARTED_WITHIN_S = 90


@pytest.fixture
def server() -> None:
    try:
        find_server()
    except ServerMissing as exc:
        pytest.skip(str(exc))


def free_base() -> int:
    """A base port with free ports for nodes (+1 to +6), service (+8) and demo (+9).

    Agents are 100 higher, Sentinels 10000: all above the ports that other tests draw.
    """
    for base in range(22_600, 22_640, 10):
        rows = (base, base + 100, base + ports.BUS_OFFSET, base + ports.BUS_OFFSET + 100)
        if all(ports.is_free(row + place) for row in rows for place in range(1, 10)):
            return base
    raise AssertionError


@dataclass
class Desk:
    """A working directory in which `guarita local` is called, on ports of its own."""

    directory: Path
    base: int

    @property
    def port(self) -> int:
        return self.base + 8

    def options(self, store: str) -> list[str]:
        demo = ["--demo-port", str(self.base + 9)]
        base = ["--base-port", str(self.base)]
        return ["--store", store, "--port", str(self.port), *demo, *base]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What starts processes is one itself; the rest is called where the test runs."""
        words = ["local", *arguments]
        if arguments[0] in ("run", "up", "start"):
            argv = [*GUARITA, *words]
            return subprocess.run(
                argv, cwd=self.directory, capture_output=True, text=True, timeout=180
            )
        with chdir(self.directory):
            done = CliRunner().invoke(cli, words, prog_name="guarita")
        return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)

    def state(self, store: str) -> State:
        text = (self.directory / ".guarita/local" / store / "state.json").read_text()
        return State.model_validate_json(text)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.call("status", "--json").stdout)
        return answer

    def post(self, path: str) -> dict[str, Any]:
        request = Request(f"http://127.0.0.1:{self.port}{path}", method="POST")
        with urlopen(request, timeout=20) as answer:
            content: dict[str, Any] = json.load(answer)
            return content


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, free_base())
    yield desk
    if any(tmp_path.glob(".guarita/local/*/state.json")):
        desk.call("down")


class Run:
    """A `guarita local run` in a session of its own, as in a terminal."""

    def __init__(self, desk: Desk, store: str, **options: Any) -> None:
        self.store = store
        self.desk = desk
        self.output = desk.directory / "run.out"
        options.setdefault("preexec_fn", hear_hangups)
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [*GUARITA, "local", "run", *desk.options(store)],
                cwd=desk.directory,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )

    def wait_for(self, text: str) -> None:
        def seen() -> bool:
            return text in self.output.read_text() or self.process.poll() is not None

        processes.wait_until(seen, timeout_s=STARTED_WITHIN_S)
        assert text in self.output.read_text(), self.output.read_text()

    def started(self) -> list[Identity]:
        return [each.identity for each in self.desk.state(self.store).processes.values()]

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)


def hear_hangups() -> None:
    """As a terminal starts it: what started the tests may have been told to survive one."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def working_in(directory: Path) -> list[str]:
    """Every process that works in or below a directory, the workers of the service as well."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # gone meanwhile, or another user's
            continue
    return found


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_that_run_started_and_nothing_else(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory, number: signal.Signals
) -> None:
    with (
        LocalStandalone(tmp_path_factory.mktemp("bystander")) as bystander,
        Run(desk, "standalone") as run,
    ):
        run.wait_for(READY)
        started = run.started()
        assert {processes.condition(each) for each in started} == {Condition.RUNNING}
        assert desk.post("/auth/create-session")["storage"] == "redis"
        os.killpg(run.process.pid, number)
        assert run.process.wait(timeout=60) == 0
        assert {processes.condition(each) for each in started} == {Condition.DEAD}
        if sys.platform == "linux":
            assert working_in(desk.directory) == []
        assert bystander.condition(bystander.primary()) is Condition.RUNNING
    assert "Traceback" not in run.output.read_text()


def test_ctrl_c_is_heard_where_a_shell_made_the_command_ignore_it(desk: Desk) -> None:
    with Run(desk, "memory", preexec_fn=ignore_interrupts) as run:
        run.wait_for(READY)
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(timeout=60) == 0


@pytest.mark.usefixtures("server")
def test_ctrl_c_during_the_start_leaves_nothing_behind(desk: Desk) -> None:
    with Run(desk, "sentinel") as run:
        run.wait_for("Starting the sentinel installation")
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.process.wait(timeout=60) == 0
        assert {processes.condition(each) for each in run.started()} <= {Condition.DEAD}
    assert READY not in run.output.read_text()


@pytest.mark.usefixtures("server")
def test_a_killed_primary_is_told_and_the_service_goes_on(desk: Desk) -> None:
    with Run(desk, "sentinel") as run:
        run.wait_for(READY)
        first = f"127.0.0.1:{desk.base + 1}"
        assert f"Killed the primary {first}" in desk.call("kill-primary").stdout
        assert desk.post("/auth/create-session")["session_id"]
        run.wait_for(f"primary {first} is dead")
        run.wait_for("is primary now, after")
        status = desk.status()
        assert status["foreground"]
        assert not status["ready"]
        assert [each["condition"] for each in status["processes"]].count("dead") == 1
        assert f"Started {first}" in desk.call("start").stdout
        run.wait_for(f"replica {first} is running again")
        assert "Stopped" in desk.call("down").stdout
        assert run.process.wait(timeout=60) == 0


def test_run_says_why_it_ends_when_the_service_dies(desk: Desk) -> None:
    with Run(desk, "memory") as run:
        run.wait_for(READY)
        service = desk.state("memory").processes["service"]
        processes.kill([service.identity])
        assert run.process.wait(timeout=60) == 3
        output = run.output.read_text()
        assert "The service has ended; the end of" in output
        assert {processes.condition(each) for each in run.started()} == {Condition.DEAD}


def test_a_run_that_was_killed_is_cleaned_up_by_the_next_one(desk: Desk) -> None:
    with Run(desk, "memory") as killed:
        killed.wait_for(READY)
        orphans = killed.started()
        killed.process.kill()
        killed.process.wait()
        assert {processes.condition(each) for each in orphans} == {Condition.RUNNING}
        with Run(desk, "memory") as run:
            run.wait_for(READY)
            assert {processes.condition(each) for each in orphans} == {Condition.DEAD}


def test_a_second_run_is_refused_and_leaves_the_first_alone(desk: Desk) -> None:
    with Run(desk, "memory") as run:
        run.wait_for(READY)
        answer = desk.call("run", *desk.options("memory"))
        assert answer.returncode == 3
        assert "runs here already" in answer.stderr
        assert {processes.condition(each) for each in run.started()} == {Condition.RUNNING}


def test_a_taken_port_of_the_service_is_named(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", desk.port)):
        answer = desk.call("run", *desk.options("memory"))
    assert answer.returncode == 3
    assert f"Port {desk.port} of 127.0.0.1, which the service needs, is taken" in answer.stderr
    assert "--port" in answer.stderr


@pytest.mark.usefixtures("server")
def test_up_and_down_may_be_repeated(desk: Desk) -> None:
    options = [*desk.options("sentinel"), "--servers-only"]
    assert desk.call("up", *options).returncode == 0
    state = desk.state("sentinel")
    assert desk.call("up", *options).returncode == 0
    assert desk.state("sentinel") == state
    status = desk.status()
    assert status["ready"]
    assert [each["role"] for each in status["processes"][:3]] == ["primary", "replica", "replica"]
    assert [each["votes"] for each in status["processes"][:3]] == [3, 0, 0]
    assert [each["link"] for each in status["processes"][:3]] == ["2 replicas", "up", "up"]
    assert desk.call("down").stdout == "Stopped.\n"
    assert {processes.condition(each.identity) for each in state.processes.values()} == {
        Condition.DEAD
    }
    assert desk.call("down").stdout == "Nothing was running.\n"
    assert desk.call("status").returncode == 3


@pytest.mark.usefixtures("server")
def test_up_gives_the_service_the_same_secret_and_data_again(desk: Desk) -> None:
    def secret() -> Path:
        return desk.directory / ".guarita/local/standalone/secret"

    options = desk.options("standalone")
    assert desk.call("up", *options).returncode == 0
    assert secret().stat().st_mode & 0o777 == 0o600
    before = secret().read_text()
    ticket = desk.post("/auth/create-session")["session_id"]
    assert desk.call("down").returncode == 0
    assert desk.call("up", *options).returncode == 0
    assert secret().read_text() == before
    url = f"http://127.0.0.1:{desk.port}/auth/validate-session?session_id={ticket}"
    with urlopen(url, timeout=20) as answer:
        assert answer.status == 200
    assert desk.call("down", "--wipe").returncode == 0
    assert not secret().parent.exists()


@pytest.mark.usefixtures("server")
def test_a_paused_primary_is_shown_and_resumed(desk: Desk) -> None:
    assert desk.call("up", *desk.options("standalone"), "--servers-only").returncode == 0
    assert "Paused the primary" in desk.call("pause-primary").stdout
    assert desk.status()["processes"][0]["condition"] == "paused"
    assert "Resumed" in desk.call("resume").stdout
    assert desk.call("resume").stdout == "No node is paused.\n"
    assert desk.status()["ready"]


@pytest.mark.parametrize("command", ["kill-primary", "pause-primary", "resume", "start", "status"])
def test_without_an_installation_one_sentence_says_what_to_do(desk: Desk, command: str) -> None:
    answer = desk.call(command)
    assert answer.returncode == 3
    assert "guarita local up" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_without_a_server_one_sentence_offers_the_memory_store(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = desk.call("run", *desk.options("sentinel"), "--server", "no-such-server")
    assert answer.returncode == 3
    assert "make run STORE=memory" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert "Traceback" not in answer.stderr


def test_the_users_own_settings_do_not_reach_the_service(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_HOST", "elsewhere.example")
    monkeypatch.setenv("GUARITA_STORE__TOPOLOGY", "standalone")
    assert desk.call("up", *desk.options("memory")).returncode == 0
    assert desk.post("/auth/create-session")["storage"] == "memory"
