"""A network of namespaces: who reaches whom, with and without a cut. Each in a process apart."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from guarita.drill.targets import network

SCRIPT = """
import json, socket, subprocess, sys, time
from guarita.drill.targets.network import Network
net = Network({"a": "10.77.0.1", "b": "10.77.0.2", "c": "10.77.1.1"})
CALL = "import socket,sys; socket.create_connection((sys.argv[1], 7), timeout=2).close()"
LISTEN = (
    "import socket,sys; s = socket.create_server((sys.argv[1], 7)); print(flush=True)\\n"
    "while True: s.accept()[0].close()"
)
listeners = []
for name, address in net.addresses.items():
    argv = [*net.enter(name), sys.executable, "-c", LISTEN, address]
    listeners.append(subprocess.Popen(argv, stdout=subprocess.PIPE))
    listeners[-1].stdout.readline()
def reaches(one, other):
    argv = [*net.enter(one), sys.executable, "-c", CALL, net.addresses[other]]
    return subprocess.run(argv, stderr=subprocess.DEVNULL).returncode == 0
def table():
    return {f"{x}{y}": reaches(x, y) for x in "abc" for y in "abc" if x != y}
STEPS
for each in listeners:
    each.kill()
net.close()
"""


def play(steps: str) -> Any:
    """What the steps print, as JSON, in a network of its own."""
    if reason := network.lacking():
        pytest.skip(reason)
    argv = network.apart([sys.executable, "-c", SCRIPT.replace("STEPS", steps)])
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_all_reach_all_until_a_cut_and_again_after_it() -> None:
    whole, cut, mended = play(
        'w = table(); net.cut(["a"], ["b"]); c = table(); net.mend(); '
        "print(json.dumps([w, c, table()]))"
    )
    assert all(whole.values())
    assert {pair for pair, passes in cut.items() if not passes} == {"ab", "ba"}
    assert all(mended.values())


def test_a_network_can_follow_another_in_one_process() -> None:
    assert play(
        "for each in listeners: each.kill()\n"
        'net.close(); net = Network({"a": "10.77.0.1", "b": "10.77.0.2"})\n'
        "print(json.dumps(sorted(net.addresses)))"
    ) == ["a", "b"]
