"""With agents a fault loses nothing and fails no request; without them one does, and it is seen.

Each test is a run of the command (`python -m tests.agents`), which measures the same for longer.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = ("term", "kill-server", "restart-empty")

Repetition = dict[str, Any]
Run = Callable[..., dict[str, Repetition]]


@pytest.fixture(scope="module")
def run() -> Run:
    """Runs the command once for each set of arguments; a repetition by the name of its scenario."""
    if not any(shutil.which(each) for each in ("valkey-server", "redis-server")):
        pytest.skip("neither valkey-server nor redis-server is installed")
    return _run


@functools.cache
def _run(*arguments: str) -> dict[str, Repetition]:
    # A run in which a bound is missed keeps its logs; the negative control always does.
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "out.json"
        ended = subprocess.run(
            [sys.executable, "-m", "tests.agents", *arguments, "--out", str(out)],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": directory},
            capture_output=True,
            text=True,
            check=False,
        )
        assert out.exists(), ended.stderr
        repetitions = json.loads(out.read_text())
    assert ended.returncode == int(any(each["missed"] for each in repetitions)), ended.stdout
    return {each["scenario"]: each for each in repetitions}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_with_agents_no_request_fails_and_no_ticket_is_lost(run, figure, scenario):
    found = run(*SCENARIOS)[scenario]
    told = found["figures"]
    assert told is not None, found["missed"]
    assert (told["failed"], told["lost"], told["double"], told["wrong"]) == (0, 0, 0, 0), found
    assert found["measured"].get("as_primary", 0) == 0, found["notes"]
    figure(
        f"{scenario} under 200 requests a second: {told['requests']} requests, 0 failed, 0 lost, "
        f"{told['pause_s']:.1f} s without a successful write"
    )


def test_without_agents_a_primary_that_comes_back_empty_loses_tickets_and_that_is_seen(run):
    found = run("--plain", "restart-empty")["restart-empty"]
    assert found["figures"]["lost"] > 0
    assert any(missed.startswith("lost ") for missed in found["missed"])
