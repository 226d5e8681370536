"""Drills of an installation that runs: from outside by its user, and by the Job of the chart."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .running import CHART, NAME, Release

pytestmark = pytest.mark.kubernetes


@pytest.fixture(scope="module")
def release(new_release: Callable[[str], Release]) -> Release:
    release = new_release("sentinel")
    release.upgrade()
    return release


def test_a_drill_from_outside_breaks_and_upgrades_it_and_finds_it_valid(
    release: Release,
    tmp_path: Path,
    figure: Callable[[str], None],
    pytestconfig: pytest.Config,
) -> None:
    release.wait_well()
    where = release.namespace.name
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "guarita", "drill", "run", "D2", "D2-server", "D4", "K2"),
            *("--target=kubernetes", f"--namespace={where}", f"--yes-break-it={where}"),
            *(f"--chart={CHART}", "--rate=100", f"--out={tmp_path}"),
            f"--room={pytestconfig.getoption('room')}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for line in ended.stdout.splitlines():
        if " valid " in line:
            figure(f"chart, drill from outside: {' '.join(line.split())}")
    release.wait_well()


def test_the_job_of_the_chart_plays_a_drill_and_leaves_its_report(
    release: Release, figure: Callable[[str], None]
) -> None:
    release.wait_well()
    release.upgrade({"drill": {"enabled": True, "scenarios": ["D1"]}})
    log = release.namespace.run("logs", f"job/{NAME}-drill")
    [told] = [line for line in log.splitlines() if " valid " in line]
    figure(f"chart, drill by its Job: {' '.join(told.split())}")
    claim = release.namespace.get("persistentvolumeclaim", f"{NAME}-drill")
    assert claim["status"]["phase"] == "Bound"
    release.upgrade({})
    kept = release.namespace.get("persistentvolumeclaim", f"{NAME}-drill")
    assert kept["metadata"]["uid"] == claim["metadata"]["uid"]


def test_a_namespace_without_an_installation_is_one_sentence(tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "guarita", "drill", "run", "D1", "--target=kubernetes"),
            *("--namespace=default", "--yes-break-it=default", f"--out={tmp_path}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert "there are 0 installations in namespace default" in ended.stderr
