"""Names of nodes: every process of a drill looks them up, and they can be spoilt."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guarita.drill.targets import network
from guarita.drill.targets.base import Shape
from guarita.drill.targets.names import lacking

SCRIPT = """
import json, subprocess, sys, time
from pathlib import Path
from guarita.drill.targets.base import Spoilt
from guarita.drill.targets.names import Names
from guarita.drill.targets.network import GATE, Network
net = Network({"node-1": "10.77.0.1", "node-2": "10.77.0.2"})
names = Names(net.addresses, Path(sys.argv[1]), at=GATE)
ASK = '''
import json, socket, sys, time
began = time.monotonic()
try:
    told = sorted({each[4][0] for each in socket.getaddrinfo(sys.argv[1], 7)})
except socket.gaierror as exc:
    told = {socket.EAI_NONAME: "no such name", socket.EAI_AGAIN: "no answer"}[exc.errno]
print(json.dumps([told, time.monotonic() - began]))
'''
def ask(name):
    argv = [*net.enter("node-2"), sys.executable, "-c", ASK, name]
    return json.loads(subprocess.run(argv, capture_output=True, text=True).stdout)
STEPS
names.close()
net.close()
"""


def play(steps: str, directory: Path) -> Any:
    """What the steps print, as JSON, in a network and with mounts of its own."""
    if reason := network.lacking() or lacking(Shape(names=True)):
        pytest.skip(reason)
    argv = [sys.executable, "-c", SCRIPT.replace("STEPS", steps), str(directory)]
    ended = subprocess.run(
        network.apart(argv), capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_node_is_found_by_its_name_until_that_is_gone(tmp_path: Path) -> None:
    before = Path("/etc/resolv.conf").read_bytes()
    found, other, gone, kept, again = play(
        'one = ask("node-1.drill"); other = ask("nobody.drill"); names.spoil(Spoilt(("node-1",))); '
        'gone = ask("node-1.drill"); kept = ask("NODE-2.drill"); names.spoil(Spoilt()); '
        'print(json.dumps([x[0] for x in (one, other, gone, kept, ask("node-1.drill"))]))',
        tmp_path,
    )
    assert (found, other) == (["10.77.0.1"], "no such name")
    assert (gone, kept, again) == ("no such name", ["10.77.0.2"], ["10.77.0.1"])
    assert Path("/etc/resolv.conf").read_bytes() == before


def test_a_name_follows_its_node_to_another_address(tmp_path: Path) -> None:
    one, other = play(
        'net.swap("node-1", "node-2"); '
        'print(json.dumps([ask(f"node-{n}.drill")[0] for n in (1, 2)]))',
        tmp_path,
    )
    assert (one, other) == (["10.77.0.2"], ["10.77.0.1"])


def test_answers_are_late_or_there_are_none(tmp_path: Path) -> None:
    at_once, late, silent = play(
        'at_once = ask("node-1.drill"); names.spoil(Spoilt(late_ms=700)); '
        'late = ask("node-1.drill"); names.spoil(Spoilt(silent=True)); '
        'print(json.dumps([at_once, late, ask("node-1.drill")]))',
        tmp_path,
    )
    assert at_once[0] == late[0] == ["10.77.0.1"]
    assert late[1] - at_once[1] > 0.5
    assert silent[0] == "no answer"


def test_what_is_no_question_is_not_answered(tmp_path: Path) -> None:
    told, after = play(
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.3)\n"
        "told = []\n"
        'for text in (b"", b"x" * 11, b"x" * 12, bytes(11) + b"\\x3f", bytes(12) + b"\\x03ab"):\n'
        "    s.sendto(text, (GATE, 53))\n"
        "    try: told.append(s.recv(512).hex())\n"
        "    except TimeoutError: pass\n"
        'print(json.dumps([told, ask("node-1.drill")[0]]))',
        tmp_path,
    )
    assert (told, after) == ([], ["10.77.0.1"])


def test_with_a_hosts_file_nobody_waits_for_names_that_are_late_gone_or_never_told(
    tmp_path: Path,
) -> None:
    at_once, gone, silent = play(
        "from guarita import hosts\n"
        "from guarita.config import Settings\n"
        "nodes = ['node-1.drill:7001', 'node-2.drill:7002']\n"
        "store = {'topology': 'sentinel', 'data_nodes': nodes, 'hosts_file': '/etc/hosts'}\n"
        "hosts.keep(Settings.model_validate({'store': store | {'sentinel': {'nodes': nodes}}}))\n"
        "while Path('/etc/hosts').read_text().count('# guarita') < 2: time.sleep(0.01)\n"
        "told = []\n"
        "for how in (Spoilt(late_ms=700), Spoilt(('node-1',)), Spoilt(silent=True)):\n"
        "    names.spoil(how); told.append(ask('node-1.drill'))\n"
        "print(json.dumps(told))",
        tmp_path,
    )
    assert at_once[0] == gone[0] == silent[0] == ["10.77.0.1"]
    assert max(at_once[1], gone[1], silent[1]) < 0.5
