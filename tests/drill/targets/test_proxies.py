"""Proxies in front of nodes: who reaches whom with and without a cut, and drills played so."""

from __future__ import annotations

import itertools
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from guarita.config import Durability
from guarita.drill.history import Event
from guarita.drill.playing import Plan
from guarita.drill.run import Runner, lacking
from guarita.drill.scenarios import SCENARIOS
from guarita.drill.targets import proxies
from guarita.drill.targets.base import Shape
from guarita.drill.targets.local import LocalTarget
from guarita.drill.targets.proxies import Proxies
from guarita.errors import TopologyError
from guarita.servers import ServerMissing, find_server
from guarita.topology.local.ports import free_ports

pytestmark = pytest.mark.skipif(proxies.lacking(Shape()) is not None, reason="it needs Linux")

NAMES = ("a", "b", "c")
CUT_S = 20.0
# Answers each line with the same; connects to whom it is told, and says what it hears of that.
PARTY = """
import socket, sys, threading
def answer(connection):
    with connection:
        while data := connection.recv(100):
            connection.sendall(data)
def serve():
    while True:
        threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
threading.Thread(target=serve, daemon=True).start()
print("ready", flush=True)
links = {}
for line in sys.stdin:
    host, port = line.split()
    try:
        if port not in links:
            links[port] = socket.create_connection((host, int(port)), timeout=1)
        links[port].sendall(b"x")
        heard = links[port].recv(1) == b"x"
    except OSError:
        heard = False
    print(heard, flush=True)
"""


class Parties:
    """Processes that work in directories of their own, with proxies in front of them."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
        self._directory, self._stack = directory, stack
        self._running = {name: self._start(name) for name in NAMES}
        self.proxies = Proxies(directory)
        self.proxies.start({name: [port] for name, port in self.ports.items()})
        stack.callback(self.proxies.close)

    def hears(self, one: str, other: str) -> bool:
        """Whether the other answers the one, over the connection that it has or a new one."""
        process = self._running[one]
        print(proxies.HOST, self.ports[other], file=process.stdin, flush=True)
        return process.stdout.readline() == "True\n"

    def start_again(self, name: str) -> None:
        self._end(self._running[name])
        self._running[name] = self._start(name)

    def _start(self, name: str) -> subprocess.Popen[str]:
        (self._directory / name).mkdir(exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", PARTY, str(self.ports[name])],
            cwd=self._directory / name,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(self._end, process)
        assert process.stdout.readline() == "ready\n"
        return process

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[Parties]:
    with ExitStack() as stack:
        yield Parties(tmp_path, stack)


def unheard(parties: Parties) -> set[str]:
    pairs = itertools.permutations(NAMES, 2)
    return {f"{one}{other}" for one, other in pairs if not parties.hears(one, other)}


def test_all_hear_all_until_a_cut_and_again_after_it(parties: Parties) -> None:
    assert unheard(parties) == set()
    parties.proxies.cut(["a"], ["b"])
    assert unheard(parties) == {"ab", "ba"}
    parties.proxies.mend()
    assert unheard(parties) == set()


def test_what_passes_to_one_node_keeps_no_other_waiting(parties: Parties) -> None:
    busy = parties.proxies._processes[NAMES.index("a")]
    busy.send_signal(signal.SIGSTOP)
    try:
        assert parties.hears("c", "b")
        assert parties.hears("b", "c")
    finally:
        busy.send_signal(signal.SIGCONT)


def test_one_that_has_ended_ends_all_and_is_told(parties: Parties) -> None:
    first, *others = parties.proxies._processes
    first.kill()
    first.wait()
    with pytest.raises(TopologyError, match="the proxies in between have ended: see "):
        parties.proxies.cut(["a"], ["b"])
    assert all(each.poll() is not None for each in others)


def test_what_is_cut_off_stays_so_when_it_starts_again(parties: Parties) -> None:
    parties.proxies.cut(["a"], ["b", "c"])
    parties.start_again("a")
    assert unheard(parties) == {"ab", "ba", "ac", "ca"}
    parties.proxies.mend()
    parties.start_again("a")
    parties.start_again("b")
    parties.start_again("c")
    assert unheard(parties) == set()


def test_a_cut_of_one_way_lets_the_other_pass_where_they_speak_already(parties: Parties) -> None:
    assert parties.hears("a", "b")
    parties.proxies.cut(["b"], ["a"], one_way=True)
    assert not parties.hears("a", "b")  # it was asked, and the answer is held back
    parties.proxies.mend()
    assert parties.hears("a", "b")


@pytest.mark.parametrize("said", [b"", b"x"], ids=["before it speaks", "when it has spoken"])
def test_who_is_nobody_of_the_drill_is_hung_up_on(parties: Parties, said: bytes) -> None:
    def call() -> None:
        with socket.create_connection((proxies.HOST, parties.ports["a"]), timeout=5) as stranger:
            stranger.sendall(said)
            stranger.recv(1)

    with pytest.raises(ConnectionResetError):
        call()


def test_proxies_that_cannot_listen_say_where_they_say_why(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with socket.create_server((proxies.HOST, port)), pytest.raises(TopologyError) as told:
        Proxies(tmp_path).start({"a": [port]})
    assert str(tmp_path / "proxies.log") in str(told.value)
    assert "in use" in (tmp_path / "proxies.log").read_text()


def test_where_nobody_tells_whose_a_connection_is_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(proxies, "inode_of", refuse)
    assert proxies.lacking(Shape()) == "this machine does not tell whose a connection is"


def test_without_a_network_links_are_cut_and_packets_are_not_lost() -> None:
    reason = "no network here"
    assert [lacking(SCENARIOS[id], reason) for id in ("D5a", "D6", "N5c")] == [None, None, None]
    assert lacking(SCENARIOS["D25"], reason) == reason
    assert lacking(SCENARIOS["D23a"], reason) == reason
    in_a_cluster = replace(SCENARIOS["D5a"], shape=Shape(topology="cluster"))
    assert lacking(in_a_cluster, reason) == f"{reason}; {proxies.lacking(in_a_cluster.shape)}"


@pytest.mark.played
@pytest.mark.parametrize(("id", "loses"), [("D5c", False), ("N5c", True)])
def test_a_cut_that_proxies_make_is_a_cut_to_whoever_does_not_see_to_it(
    tmp_path: Path, id: str, loses: bool
) -> None:
    """The same cut: nothing lost with Guarita's services, and tickets with a broken one."""
    try:
        find_server()
    except ServerMissing as exc:
        pytest.skip(str(exc))
    plan = Plan(60, 6, Durability.BALANCED, tmp_path, lead_s=2, tail_s=2)
    make_target = partial(LocalTarget, without_network="no network here")
    # How long writes pause is for runs on a quiet machine; here a failover may take longer.
    faults = tuple(replace(each, for_s=CUT_S) for each in SCENARIOS[id].faults)
    scenario = replace(SCENARIOS[id], faults=faults)
    (played,) = Runner(plan, make_target, lambda *_: None).play([(scenario, 0)])
    figures = played.judgement.figures
    assert bool(figures.lost or figures.double) is loses, played.judgement
    told = [each.text for each in played.history.events if isinstance(each, Event)]
    assert "TCP proxies in between hold back what is sent, from now on" in told
