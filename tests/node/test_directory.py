"""One agent in a directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from guarita.errors import TopologyError
from guarita.node import child, directory

HOLD = """
import sys
from pathlib import Path
from guarita.node.directory import enter
enter(Path(sys.argv[1]))
print("in", flush=True)
sys.stdin.read()
"""


def test_a_second_agent_does_not_touch_what_the_first_one_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what is changed is put back
    monkeypatch.setattr(directory, "end_orphan", lambda _: pytest.fail("it ended the server"))
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == "in\n"
        with pytest.raises(TopologyError, match="another agent works there"):
            directory.enter(tmp_path)
        first.kill()
    monkeypatch.setattr(directory, "end_orphan", child.end_orphan)
    assert directory.enter(tmp_path) == tmp_path


def test_a_directory_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(TopologyError, match=r"node.data_dir: .*file/data: Not a directory"):
        directory.enter(tmp_path / "file" / "data")
