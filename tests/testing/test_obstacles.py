"""Where an installation cannot be started: one sentence that says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from guarita.errors import TopologyError
from guarita.testing import SentinelInstallation, StandaloneInstallation, engine


def test_without_docker_it_says_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(engine.Unavailable, match=r"^docker is not installed: https://"),
        SentinelInstallation(),
    ):
        pass


def _pretend(directory: Path, script: str) -> None:
    """A `docker` of this test's own."""
    path = directory / "docker"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Cannot connect' >&2; exit 1", "^the Docker engine does not answer: start it"),
        ('[ "$1" = version ] || exit 1', "^docker compose is missing: https://"),
        (
            '[ "$1" = image -o "$1" = pull ] || exit 0; echo "no such image" >&2; exit 1',
            "^the image mine:1 is not on this machine and cannot be pulled: make it",
        ),
    ],
)
def test_what_is_missing_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, words: str
) -> None:
    _pretend(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(engine.Unavailable, match=words) as caught, StandaloneInstallation("mine:1"):
        pass
    assert "\n" not in str(caught.value)


def test_an_image_that_is_not_here_is_pulled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _pretend(tmp_path, f'echo "$@" >> {tmp_path}/asked; [ "$1" != image ]')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    engine.check("mine:1")
    assert "pull --quiet mine:1" in (tmp_path / "asked").read_text()


def test_without_the_extra_guarita_is_imported_and_an_installation_says_what_to_install() -> None:
    code = """
import sys
sys.modules["testcontainers"] = sys.modules["docker"] = None
import guarita.cli, guarita.wsgi, guarita.testing.installation as installation
try:
    installation._compose()
except installation.engine.Unavailable as exc:
    print(exc)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.stdout == "testcontainers is not installed: pip install 'guarita[testing]'\n", (
        ended.stderr
    )


def test_before_its_start_it_has_no_address() -> None:
    with pytest.raises(engine.TopologyError, match="not started"):
        _ = StandaloneInstallation().url


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"durability": "x"}, "durability must be one of strict, balanced, fast, and is x"),
        ({"services": 0}, "services must be 1 to 20, and is 0"),
        ({"services": 21}, "services must be 1 to 20, and is 21"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_started(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SentinelInstallation(**wrong)


def test_what_does_not_start_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    installation = StandaloneInstallation()
    monkeypatch.setattr(installation, "obstacle", lambda: "service-1 is dead")
    monkeypatch.setattr(installation, "logs", lambda name: f"{name} began\nno such setting\n\n")
    with pytest.raises(TopologyError, match=r"service-1 is dead; it said last: no such setting$"):
        installation.wait_well(0.0)
