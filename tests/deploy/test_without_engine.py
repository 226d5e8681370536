"""The container tests where there is no engine: not run and said so, with CI=true a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST = "tests/containers/test_standalone.py::test_the_four_endpoints_answer"
REASON = "docker is not installed: https://docs.docker.com/engine/install/"


@pytest.mark.parametrize(
    ("ci", "status", "words"),
    [
        ("", 0, f"{REASON}\n1 skipped"),
        ("true", 1, f"could not run, and with CI=true every test must: Skipped: {REASON}"),
    ],
)
def test_container_tests_say_why_they_cannot_run(
    tmp_path: Path, ci: str, status: int, words: str
) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "container", TEST, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == status
    assert words in told.stdout
