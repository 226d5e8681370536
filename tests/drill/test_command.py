"""`guarita drill`: what it prints and the status that it ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from guarita.cli import cli
from guarita.cli.drill.series import Series, out_of
from guarita.config import Durability
from guarita.drill.faults.base import NEVER
from guarita.drill.lines import Writer, read
from guarita.drill.playing import Plan, _words_of
from guarita.drill.run import NotPlayed, Runner
from guarita.drill.scenarios import SCENARIOS, Scenario
from guarita.drill.targets import network
from guarita.drill.targets.base import Shape
from guarita.errors import TopologyError
from guarita.processes import wait_until
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


def test_list_says_of_each_scenario_why_this_machine_cannot_play_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("guarita.drill.targets.network.lacking", lambda: "nft is not installed")
    reasons = {each["id"]: each["not_here"] for each in json.loads(drill("list", "--json").output)}
    assert {reasons[id] for id in ("D11a", "D12a", "D23a", "D25")} == {"nft is not installed"}
    assert "one region" in reasons["D27"]
    assert (reasons["D2"], reasons["D17"]) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["D99"], 3, "no scenario D99"),
        ([], 3, "name a scenario"),
        (["D11"], 3, "D11a cannot be played here: no network here"),
        (["D9", "--durability", "strict"], 3, "says nothing about durability strict"),
        (["--file", "nowhere.yaml"], 3, "nowhere.yaml"),
        (["D2", "--apart"], 3, "leave it out"),
        (["N4", "D2", "--faults", "4"], 3, "it is a negative control"),
        (["D16", "--faults", "4"], 3, "it needs an installation of its own"),
        (["D2", "--url", "http://127.0.0.1:1"], 3, "only with --yes-break-it 127.0.0.1:1"),
        (
            ["D2", "--url", "http://127.0.0.1:1", "--yes-break-it", "another"],
            3,
            "only with --yes-break-it 127.0.0.1:1",
        ),
        (["D2", "--url", "127.0.0.1:1"], 3, "must be http://HOST"),
        (["D2", "--short"], 3, "one of these"),
        (["--all", "--short"], 3, "one of these"),
        (["D2", "--file", "OWN"], 3, "none of these is in the file, which has mine"),
        (["yours", "--file", "OWN"], 3, "there is no scenario yours"),
        (["mine", "--durability", "strict", "--file", "OWN"], 3, "mine cannot be played here"),
        (["D2", "--rate", "inf"], 3, "'--rate': inf is not in the range"),
        (["D2", "--rate", "nan"], 3, "'--rate': nan is not a number"),
        (["D2", "--rate", "1000000"], 3, "'--rate': "),
        (["D2", "--room", "nan"], 3, "'--room': "),
        (["D2", "--duration", "inf"], 3, "'--duration': "),
        (["--faults", "0"], 3, "'--faults': 0"),
        (["--bogus"], 3, "--bogus"),
        (["D2", "--url", "http://127.0.0.1:1/auth"], 3, "must end with its host"),
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
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    arguments = [str(own) if each == "OWN" else each for each in arguments]
    done = drill("run", *arguments, "--out", tmp_path)
    assert done.exit_code == status
    assert words in done.output


OWN = """
scenarios:
  - id: mine
    title: the primary is killed
    durabilities: [balanced]
    faults: [kill: ]
"""


@pytest.mark.parametrize("rate", ["inf", "nan", "5001"])
def test_a_comparison_asks_as_often_as_a_drill_may(rate: str) -> None:
    done = drill("compare", "--rate", rate)
    assert done.exit_code == 3
    assert "'--rate': " in done.output


@pytest.mark.parametrize("words", [[], ["--bogus"], ["bogus"], ["check"], ["check", "nowhere"]])
def test_what_is_misused_is_status_3_for_2_is_a_verdict(words: list[str]) -> None:
    done = drill(*words)
    assert done.exit_code == 3
    assert len(done.output.splitlines()) > 1


def test_each_scenario_is_played_once_however_often_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen: list[list[str]] = []
    monkeypatch.setattr("guarita.drill.targets.network.lacking", lambda: None)
    monkeypatch.setattr("guarita.cli.drill.go_apart", lambda **_: None)
    monkeypatch.setattr(
        Series, "play", lambda _, scenarios: chosen.append([each.id for each in scenarios]) or 0
    )
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    drill("run", "D5", "D5b", "D2", "D2")
    drill("run", "mine", "D2", "--file", own)
    drill("run", "--file", own)
    assert chosen == [["D5a", "D5b", "D5c", "D5d", "D2"], ["mine", "D2"], ["mine"]]


class Failing(Runner):
    """Of its drills the second cannot be played."""

    def _play_one(self, scenario: Scenario, number: int, index: int) -> Any:
        if number == 1:
            raise TopologyError("the port is taken")
        return SimpleNamespace(scenario=scenario, is_good=True)


def test_what_cannot_be_played_ends_no_series_unless_it_is_the_first(tmp_path: Path) -> None:
    plan = Plan(100.0, 1, Durability.BALANCED, tmp_path)
    runner = Failing(plan, lambda *_: pytest.fail("none is started"), lambda *_: None)
    played = list(runner.play([(SCENARIOS["D2"], n) for n in range(3)]))
    assert [isinstance(each, NotPlayed) for each in played] == [False, True, False]
    assert played[1].reason == "the port is taken"
    with pytest.raises(TopologyError, match="the port is taken"):
        list(runner.play([(SCENARIOS["D2"], 1)]))


def test_what_an_earlier_series_left_is_no_part_of_this_one(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(directory: Path, _shape: Shape) -> Any:
        made.append(directory)
        raise TopologyError("no")

    (tmp_path / "installation-1").mkdir()
    runner = Runner(Plan(100.0, 1, Durability.BALANCED, tmp_path), make, lambda *_: None)
    with pytest.raises(TopologyError):
        list(runner.play([(SCENARIOS["D2"], 0)]))
    assert made == [tmp_path / "installation-2"]


@pytest.mark.parametrize(
    ("scenario", "plan", "words"),
    [
        (SCENARIOS["D2"], {}, "run D2"),
        (SCENARIOS["D2"], {"lead_s": 2.0, "tail_s": 4.0}, "run D2 --duration 6"),
        (replace(SCENARIOS["D2"], id="mine"), {"own": Path("/a b")}, "run mine --file '/a b'"),
        (SCENARIOS["D2"], {"own": Path("/a")}, "run D2"),
    ],
)
def test_the_command_that_plays_it_again_has_all_that_was_said(
    tmp_path: Path, scenario: Scenario, plan: dict[str, Any], words: str
) -> None:
    assert _words_of(scenario, Plan(100.0, 1, Durability.BALANCED, tmp_path, **plan)) == words


def test_without_a_network_of_its_own_what_needs_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("guarita.drill.targets.network.lacking", lambda: "nft is not installed")
    done = drill("run", "D25", "--out", tmp_path)
    assert done.exit_code == 3
    assert "nft is not installed" in done.output


def test_reports_have_a_place_where_the_own_directory_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Such as in a container with a read-only root."""
    monkeypatch.chdir(tmp_path)
    assert out_of(None).parent == tmp_path / ".guarita" / "drills"
    monkeypatch.setattr("guarita.cli.drill.series.os.access", lambda *_: False)
    monkeypatch.setattr("tempfile.tempdir", "/elsewhere")
    assert out_of(None).parent == Path("/elsewhere/guarita-drills")
    assert out_of(Path("here")) == tmp_path / "here"


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
        "--room",  # how long writes pause is for runs on a quiet machine
        "10",
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
    assert (figures["lost"], figures["double"], figures["failed"]) == (0, 0, 0), kill
    assert kill["unmet"] == []
    assert (control["verdict"], control["good"]) == ("invalid", True)
    assert control["figures"]["double"] > 0
    assert status == 0
    header = read(Path(kill["directory"]) / "history.jsonl").header
    assert header.pause_at_most_s == SCENARIOS["D2"].pause_s + 10
    assert "--room 10" in header.command
    for each in (kill, control):
        assert (Path(each["directory"]) / "report.html").exists()
        assert read(Path(each["directory"]) / "history.jsonl").header.scenario in ("D2", "N4")
    figure(f"drill D2: {figures['requests']} requests, {figures['pause_s']:.1f} s without a write")


@pytest.mark.played
def test_certificates_change_under_load_until_everybody_shows_the_new_ones(tmp_path: Path) -> None:
    _, (change,) = played(tmp_path, "D17")
    figures = change["figures"]
    assert (figures["lost"], figures["double"]) == (0, 0), change
    measured = {e.name: e for e in read(Path(change["directory"]) / "history.jsonl").measured}
    assert measured["renewed_s"].at_most == SCENARIOS["D17"].at_most["renewed_s"]
    assert measured["renewed_s"].value < NEVER


def started(directory: Path, *words: str) -> subprocess.Popen[str]:
    """A drill that goes on for a while; in a session of its own, as in a terminal."""
    try:
        find_server()
    except ServerMissing as exc:
        pytest.skip(str(exc))
    argv = [sys.executable, "-m", "guarita", "drill", "run", *words, "--rate", "50", "--json"]
    return subprocess.Popen(
        [*argv, "--duration", "600", "--out", str(directory)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def is_loaded(directory: Path) -> bool:
    """Whether its clients have been answered."""
    found = list(directory.glob("*/history.jsonl"))
    return bool(found) and b'"created"' in found[0].read_bytes()


def left_of(directory: Path) -> list[str]:
    """Processes whose command line or working directory is in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            place = str((process / "cwd").readlink())
        except OSError:
            continue
        if str(directory) in words or place.startswith(str(directory)):
            found.append(words)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C", "killed"])
def test_a_drill_that_is_told_to_end_ends_all_and_judges_what_there_is(
    tmp_path: Path, how: str
) -> None:
    if how == "killed" and (reason := network.lacking()):
        pytest.skip(reason)  # only a process namespace ends with it whatever happens
    drill = started(tmp_path, "D2")
    assert wait_until(lambda: is_loaded(tmp_path), timeout_s=180)
    assert left_of(tmp_path)
    match how:
        case "SIGTERM":
            drill.terminate()
        case "Ctrl-C":
            os.killpg(drill.pid, signal.SIGINT)
        case "killed":
            drill.kill()
    out, error = drill.communicate(timeout=120)
    assert wait_until(lambda: not left_of(tmp_path), timeout_s=60), left_of(tmp_path)
    history = read(tmp_path / "D2-1" / "history.jsonl")
    assert history.operations
    if how == "killed":
        return
    assert drill.returncode == 2, error
    assert "told to end before its time" in error
    told = json.loads(out)
    assert (told["verdict"], told["figures"]["lost"]) == ("unknown", 0)
    assert "the drill was told to end before its time" in told["unmet"]
    assert (tmp_path / "D2-1" / "report.html").exists()


def test_many_faults_on_one_installation_are_one_history_with_one_verdict(tmp_path: Path) -> None:
    status, (many,) = played(tmp_path, "D2", "D2-server", "--faults", "2")
    # How long writes paused is for runs on a quiet machine, so its bound may be missed here.
    figures = many["figures"]
    assert (figures["lost"], figures["double"], figures["failed"]) == (0, 0, 0), many
    assert [each["number"] for each in many["turns"]] == [1, 2]
    assert {each["scenario"] for each in many["turns"]} == {"D2", "D2-server"}
    assert many["unmet"] == []
    assert status == (0 if many["good"] else 1)
    assert not list(tmp_path.glob("installation-2"))
