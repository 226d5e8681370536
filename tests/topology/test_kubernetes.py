"""A namespace by kubectl, where that is one of ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from guarita.errors import TopologyError
from guarita.processes import wait_until
from guarita.topology.kubernetes import Forward, Namespace

TALKS = """#!{python}
import pathlib, sys
print("Forwarding from 127.0.0.1:4711 -> 8080", flush=True)
for _ in range(10_000):
    print("Handling connection for 4711")
sys.stdout.flush()
pathlib.Path("{mark}").touch()
input()
"""
ENDS = """#!{python}
print("error: pods \\"relay\\" not found")
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "kubectl"


def written(program: Path, text: str) -> Path:
    mark = program.with_name("mark")
    program.write_text(text.format(python=sys.executable, mark=mark))
    program.chmod(0o700)
    return mark


def test_a_forward_goes_on_however_much_it_tells(kubectl: Path) -> None:
    mark = written(kubectl, TALKS)
    forward = Forward(Namespace("here"), "pod/relay", 8080)
    assert forward.port == 4711
    assert wait_until(mark.exists, timeout_s=10)
    forward.close()
    assert not forward.lasts


def test_a_forward_that_cannot_be_says_why(kubectl: Path) -> None:
    written(kubectl, ENDS)
    with pytest.raises(TopologyError, match=r'port-forward pod/relay: .*"relay" not found'):
        Forward(Namespace("here"), "pod/relay", 8080)
