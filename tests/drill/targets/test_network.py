"""A network of namespaces: who reaches whom, with and without a cut. Each in a process apart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
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


def test_two_swap_their_addresses_and_all_reach_them_there() -> None:
    addresses, reached = play(
        "for each in listeners: each.kill()\n"
        'net.swap("a", "c")\n'
        "for name, address in net.addresses.items():\n"
        "    argv = [*net.enter(name), sys.executable, '-c', LISTEN, address]\n"
        "    listeners.append(subprocess.Popen(argv, stdout=subprocess.PIPE))\n"
        "    listeners[-1].stdout.readline()\n"
        "print(json.dumps([net.addresses, table()]))"
    )
    assert addresses == {"a": "10.77.1.1", "b": "10.77.0.2", "c": "10.77.0.1"}
    assert all(reached.values())


def test_packets_that_were_lost_are_counted_until_all_pass_again() -> None:
    before, lost, mended = play(
        'before = net.lost_packets; net.lose(["a"], ["b"], 99); reaches("a", "b")\n'
        "lost = net.lost_packets; net.mend(); print(json.dumps([before, lost, net.lost_packets]))"
    )
    assert (before, mended) == (0, 0)
    assert lost > 0


def test_a_network_can_follow_another_in_one_process() -> None:
    assert play(
        "for each in listeners: each.kill()\n"
        'net.close(); net = Network({"a": "10.77.0.1", "b": "10.77.0.2"})\n'
        "print(json.dumps(sorted(net.addresses)))"
    ) == ["a", "b"]


def test_packets_come_in_time_again_also_where_only_some_could_be_made_late(
    tmp_path: Path,
) -> None:
    calls = tmp_path / "calls"
    tool = tmp_path / "tc"
    tool.write_text(
        f'#!/bin/sh\necho "$2 $4" >> {calls}\n'
        f'[ "$2" = del ] || [ $(wc -l < {calls}) -lt 4 ] || {{ echo no netem >&2; exit 2; }}\n'
    )
    tool.chmod(0o755)
    reason, calls_made, again = play(
        f"import os, pathlib; os.environ['PATH'] = '{tmp_path}:' + os.environ['PATH']\n"
        f"calls = pathlib.Path('{calls}')\n"
        'reason = net.delay(["a", "b"], 50); net.mend(); told = calls.read_text(); net.mend()\n'
        "print(json.dumps([reason, told.split(chr(10)), calls.read_text() == told]))"
    )
    assert "no netem" in reason
    assert calls_made == [
        *("add to-a", "add drill", "add to-b", "add drill"),
        *("del to-b", "del drill", "del to-a"),
        "",
    ]
    assert again  # a second time there is nothing left to undo


def test_only_a_process_that_was_started_apart_takes_itself_for_one() -> None:
    if reason := network.lacking():
        pytest.skip(reason)
    assert not network.is_apart()
    code = "from guarita.drill.targets.network import is_apart; print(is_apart())"
    up = "import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up']); "
    for words, answer in ((code, "True"), (up + code, "False")):
        argv = network.apart([sys.executable, "-c", words])
        ended = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert ended.stdout.strip() == answer
