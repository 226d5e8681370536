"""What programs and pull requests are told is what was found."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from guarita.drill.check import AnomalyKind, check
from guarita.drill.history import Header, History
from guarita.drill.lines import read
from guarita.drill.report import Result, as_json, as_junit, as_markdown, write, write_summary

HISTORIES = Path(__file__).parents[1] / "histories"


def kept(name: str) -> History:
    return read(HISTORIES / f"{name}.jsonl")


def result_of(history: History, **changes: object) -> Result:
    header: Header = replace(history.header, **changes)  # type: ignore[arg-type]
    return Result(header, check(replace(history, header=header)))


VALID, TWICE, NOTHING = "valid", "invalid-admitted-twice", "unknown-no-fault"


@pytest.mark.parametrize(
    ("name", "control", "good", "failures", "errors"),
    [
        (VALID, None, True, 0, 0),
        (TWICE, None, False, 1, 0),
        (NOTHING, None, False, 0, 1),
        (VALID, "durability fast", False, 1, 0),
        (NOTHING, "durability fast", False, 1, 0),
        (TWICE, "durability fast", True, 0, 0),
    ],
)
def test_a_control_is_good_when_it_is_found_out(
    name: str, control: str | None, good: bool, failures: int, errors: int
) -> None:
    result = result_of(kept(name), control=control)
    assert result.is_good is good
    suite = Xml.fromstring(as_junit([result]))
    assert suite.get("tests") == "1"
    assert (suite.get("failures"), suite.get("errors")) == (str(failures), str(errors))
    assert json.loads(as_json(result))["good"] is good


def test_the_json_has_the_operations_of_an_anomaly() -> None:
    result = result_of(kept(TWICE))
    told = json.loads(as_json(result))
    assert told["verdict"] == "invalid"
    assert told["figures"]["double"] == 1
    (anomaly,) = [each for each in told["anomalies"] if each["kind"] == "admitted twice"]
    assert len(anomaly["operations"]) == 2
    assert {each["answer"] for each in anomaly["operations"]} == {"admitted"}
    assert told["anomalies_in_all"] == len(result.judgement.anomalies)


def test_junit_says_why_and_survives_any_text() -> None:
    result = result_of(kept(TWICE), title='a < b & "c" \x00 \x1b')
    suite = Xml.fromstring(as_junit([result, result_of(kept(VALID))]))
    bad, good = suite.findall("testcase")
    failure = bad.find("failure")
    assert failure is not None
    assert "admitted twice" in (failure.text or "")
    assert good.find("failure") is None
    assert "0 double admissions" in (good.findtext("system-out") or "")


def test_markdown_has_a_row_for_each_drill_and_a_reason_for_each_bad_one() -> None:
    text = as_markdown(
        [
            result_of(kept(VALID), title="a | b"),
            result_of(kept(TWICE)),
            result_of(kept(VALID), control="non-atomic redeem"),
            result_of(kept(VALID), pause_at_most_s=0.1),
        ]
    )
    rows = [line for line in text.splitlines() if line.startswith("| D2")]
    assert len(rows) == 4
    assert r"a \| b" in rows[0]
    assert "void (control: non-atomic redeem)" in rows[2]
    assert "1 x admitted twice" in text
    assert "without a successful write, at most 0.1 s" in text


def test_all_reports_of_a_drill_are_written(tmp_path: Path) -> None:
    history = kept(VALID)
    write(tmp_path, history, check(history))
    names = {each.name for each in tmp_path.iterdir()}
    assert names == {"report.html", "report.json", "report.xml", "report.md"}


def test_a_summary_keeps_what_each_control_found(tmp_path: Path) -> None:
    found_out = result_of(kept(TWICE), scenario="N4", control="rivals are admitted together")
    void = result_of(kept(VALID), scenario="N1", control="nobody waits")
    results = {tmp_path / "D2-1": result_of(kept(VALID)), tmp_path / "N4-1": found_out}
    write_summary(tmp_path, results | {tmp_path / "N1-1": void})
    (anomaly,) = [e for e in found_out.judgement.anomalies if e.kind is AnomalyKind.DOUBLE]
    markdown = (tmp_path / "summary.md").read_text()
    assert "**N4** found, as it must: " in markdown
    assert f"admitted twice: {anomaly.words}" in markdown
    html = (tmp_path / "summary.html").read_text()
    assert "What the control N4 found: rivals are admitted together" in html
    assert escape(anomaly.words) in html
    assert all(f'<td class="number">{each.id}</td>' in html for each in anomaly.operations)
    assert "The control N1 found nothing" in html
    assert 'href="D2-1/report.html"' in html
    assert "1 not good" in html
    told = {
        each["drill"]["scenario"]: each
        for each in json.loads((tmp_path / "summary.json").read_text())
    }
    assert [each["kind"] for each in told["N4"]["anomalies"]] == ["admitted twice"]
    assert (told["N4"]["good"], told["N1"]["void"], told["D2"]["anomalies"]) == (True, True, [])
    assert (tmp_path / "summary.xml").exists()
