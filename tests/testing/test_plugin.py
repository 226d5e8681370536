"""The fixtures of `guarita.testing`: there wherever pytest runs, and free until one is used."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

_TESTS = """
import sys

def test_nothing_is_loaded():
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert not loaded & {"redis", "pydantic", "testcontainers", "docker", "gevent", "falcon"}
    assert "guarita.pytest_plugin" in sys.modules
    assert "guarita.testing" not in sys.modules
"""


def _pytest(directory: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "--disable-plugin-autoload", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def test_pytest_finds_the_plugin_by_itself() -> None:
    [found] = [each for each in entry_points(group="pytest11") if each.name == "guarita"]
    assert found.value == "guarita.pytest_plugin"


def test_tests_that_use_none_of_it_load_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(_TESTS)
    _pytest(tmp_path, "-p", "guarita.pytest_plugin")


def test_pytest_lists_the_fixtures_with_what_they_are(tmp_path: Path) -> None:
    told = _pytest(tmp_path, "-p", "guarita.pytest_plugin", "--fixtures", "--color=no")
    for name in ("guarita_sentinel", "guarita_cluster", "guarita_standalone"):
        assert name in told
    assert "three Sentinels and the service" in told


def test_another_image_is_a_fixture_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture(scope='session')\ndef guarita_image():\n"
        "    return 'mine:1'\n"
    )
    (tmp_path / "test_theirs.py").write_text(
        "def test_image(guarita_image):\n    assert guarita_image == 'mine:1'\n"
    )
    _pytest(tmp_path, "-p", "guarita.pytest_plugin")
