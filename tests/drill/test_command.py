"""`guarita drill`: what it prints and the status that it ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from guarita.cli import cli
from guarita.drill.lines import Writer, read
from guarita.drill.scenarios import SCENARIOS
from guarita.servers import ServerMissing, find_server

HISTORIES = Path(__file__).parent / "histories"
ROOT = Path(__file__).parents[2]


def drill(*arguments: str | Path) -> Any:
    return CliRunner().invoke(cli, ["drill", *map(str, arguments)])


@pytest.mark.parametrize(
    ("history", "status"),
    [("valid", 0), ("invalid-admitted-twice", 1), ("unknown-no-fault", 2)],
)
def test_check_and_report_end_with_the_verdict(tmp_path: Path, history: str, status: int) -> None:
    path = HISTORIES / f"{history}.jsonl"
    assert drill("check", path).exit_code == status
    assert drill("report", path, "--out", tmp_path).exit_code == status
    assert {each.name for each in tmp_path.iterdir()} == {
        "report.html",
        "report.json",
        "report.md",
        "report.xml",
    }


def test_a_history_that_cannot_be_read_is_status_3_with_every_wrong_line(tmp_path: Path) -> None:
    lines = (HISTORIES / "valid.jsonl").read_text().splitlines()
    lines[3] = lines[3][:-5]
    lines[7] = "{}"
    path = tmp_path / "cut.jsonl"
    path.write_text("\n".join(lines) + "\n")
    done = drill("check", path)
    assert done.exit_code == 3
    assert "line 4: " in done.output
    assert "line 8: " in done.output


@pytest.mark.parametrize(
    ("history", "status"), [("valid", 2), ("invalid-admitted-twice", 0), ("unknown-no-fault", 2)]
)
def test_a_negative_control_must_be_found_out(tmp_path: Path, history: str, status: int) -> None:
    whole = read(HISTORIES / f"{history}.jsonl")
    path = tmp_path / "history.jsonl"
    with Writer(path, replace(whole.header, control="broken on purpose")) as writer:
        for record in (*whole.operations, *whole.events, *whole.samples, *whole.measured):
            writer.write(record)
    assert drill("check", path).exit_code == status


def test_check_tells_programs_all_of_it() -> None:
    told = json.loads(drill("check", HISTORIES / "invalid-admitted-twice.jsonl", "--json").output)
    assert (told["verdict"], told["good"]) == ("invalid", False)
    assert told["anomalies"]


def test_list_names_every_scenario() -> None:
    rows = json.loads(drill("list", "--json").output)
    assert [each["id"] for each in rows] == list(SCENARIOS)
    assert {each["id"] for each in rows if each["in_the_short_set"]} >= {"D1", "D5a", "D5d", "N1"}
    assert "SIGTERM to the primary" in drill("list").output


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["D99"], 2, "no scenario D99"),
        ([], 2, "name a scenario"),
        (["D11"], 3, "cannot be played here"),
        (["D9", "--durability", "strict"], 3, "says nothing about durability strict"),
        (["--file", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["D2", "--apart"], 2, "leave it out"),
    ],
)
def test_what_cannot_be_run_says_why(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    monkeypatch.setattr("guarita.drill.targets.network.lacking", lambda: "no network here")
    done = drill("run", *arguments, "--out", tmp_path)
    assert done.exit_code == status
    assert words in done.output


def test_without_a_network_of_its_own_what_needs_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("guarita.drill.targets.network.lacking", lambda: "nft is not installed")
    done = drill("run", "D5b", "--out", tmp_path)
    assert done.exit_code == 3
    assert "nft is not installed" in done.output


def test_scenarios_are_completed() -> None:
    complete = ShellComplete(cli, {}, "guarita", "_GUARITA_COMPLETE")
    found = {each.value for each in complete.get_completions(["drill", "run"], "d5")}
    assert found == {"D5a", "D5b", "D5c", "D5d"}


def played(directory: Path, *scenarios: str) -> tuple[int, list[dict[str, Any]]]:
    """The command as a user runs it; a line of JSON for each drill."""
    try:
        find_server()
    except ServerMissing as exc:
        pytest.skip(str(exc))
    words = [
        "drill",
        "run",
        *scenarios,
        "--rate",
        "60",
        "--duration",
        "4",
        "--json",
        "--out",
        str(directory),
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "guarita", *words],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in (0, 1, 2), ended.stderr
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]


def test_a_drill_on_real_servers_and_a_control_that_is_found_out(tmp_path: Path, figure) -> None:
    status, (kill, control) = played(tmp_path, "D2", "N4")
    figures = kill["figures"]
    # How long writes paused is for runs on a quiet machine, so its bound may be missed here.
    assert (figures["lost"], figures["double"], figures["failed"]) == (0, 0, 0), kill
    assert kill["unmet"] == []
    assert (control["verdict"], control["good"]) == ("invalid", True)
    assert control["figures"]["double"] > 0
    assert status == (0 if kill["good"] else 1)
    for each in (kill, control):
        assert (Path(each["directory"]) / "report.html").exists()
        assert read(Path(each["directory"]) / "history.jsonl").header.scenario in ("D2", "N4")
    figure(f"drill D2: {figures['requests']} requests, {figures['pause_s']:.1f} s without a write")
