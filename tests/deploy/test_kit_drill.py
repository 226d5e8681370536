"""The drills of a kit that runs, as far as they need no engine (tests/containers plays them)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kit_env
from guarita.drill.faults.commands import Command
from guarita.drill.own import read_own

import kit_drill

DEPLOY = Path(__file__).parents[2] / "deploy"
GUARITA = """#!/bin/sh
echo "$@"
echo "CA $SSL_CERT_FILE"
cat
exit 1
"""
ENGINE = """#!/bin/sh
case "$1 $2" in
"info --format") echo 28.0;;
esac
"""


@pytest.fixture
def deploy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with what drills need, and programs that only tell what they are asked."""
    for name in kit_env.CHOICES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "deploy").mkdir()
    for name in ("kit.py", "kit_env.py", "kit_drill.py"):
        shutil.copy(DEPLOY / name, tmp_path / "deploy")
    for path, text in ((".venv/bin/guarita", GUARITA), ("deploy/docker", ENGINE)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        (tmp_path / path).chmod(0o755)
    assert kit_env.make_env(tmp_path / "deploy/.env")
    return tmp_path / "deploy"


def _run(deploy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(deploy / "kit_drill.py"), *words],
        env={"PATH": f"{deploy}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_drill_breaks_in_a_way_that_is_known_and_heals_it() -> None:
    drills = {each.id: each.faults for each in read_own(DEPLOY / "drills.yaml")}
    assert {*drills, "heal"} == set(kit_drill.FAULTS)
    for name, faults in drills.items():
        [fault] = faults
        assert isinstance(fault, Command)
        assert fault.run == ("python3", "deploy/kit_drill.py", name)
        assert fault.undo == ("python3", "deploy/kit_drill.py", "heal")


def test_they_are_played_on_the_kit_itself_and_end_as_the_drill_does(deploy: Path) -> None:
    told = _run(deploy, "play", "--", "--repeat", "5")
    words, authority, key = told.stdout.splitlines()
    env = kit_env.read_env(deploy / ".env")
    assert words == (
        f"drill run --file={deploy}/drills.yaml --url=https://localhost:8443 "
        "--yes-break-it=localhost:8443 --api-key-file=/dev/stdin --repeat 5"
    )
    assert authority == f"CA {deploy}/.secrets/tls/ca.crt"
    assert key == env["API_KEY"]
    assert told.returncode == 1


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("kill", "the service names no primary: look at `make ps` and `make logs`\n"),
        ("heal", "there is no container sentinel-1: `make up` first\n"),
    ],
)
def test_without_a_kit_that_runs_one_sentence_says_so(
    deploy: Path, action: str, words: str
) -> None:
    told = _run(deploy, action)
    assert (told.returncode, told.stderr) == (2, words)
