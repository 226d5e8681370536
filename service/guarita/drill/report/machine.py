"""Reports for machines and for pull requests: JSON, JUnit XML, Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from xml.etree import ElementTree as Xml

from guarita.drill.check import Anomaly, Judgement, Verdict
from guarita.drill.check.turns import Played
from guarita.drill.history import Header
from guarita.drill.report.words import four_figures, headline, kinds_of, seconds

SHOWN = 20  # anomalies; the history has them all
SHOWN_OF_CONTROL = 3


@dataclass(frozen=True, slots=True)
class Result:
    """One drill and what came out."""

    header: Header
    judgement: Judgement

    @property
    def is_good(self) -> bool:
        """Valid; or a negative control that was found out."""
        if self.header.control:
            return not self.judgement.void
        return self.judgement.verdict is Verdict.VALID


def as_json(result: Result) -> str:
    """All figures, reasons and the first anomalies, for programs."""
    return json.dumps(_values(result), indent=2)


def summary_as_json(results: Sequence[Result]) -> str:
    """The same of several drills, in a list."""
    return json.dumps([_values(each) for each in results], indent=2)


def _values(result: Result) -> dict[str, Any]:
    header, judgement = result.header, result.judgement
    return {
        "verdict": judgement.verdict,
        "good": result.is_good,
        "void": judgement.void,
        "headline": headline(header, judgement),
        "figures": asdict(judgement.figures) | {"two_writable_s": judgement.two_writable_s},
        "missed": judgement.missed,
        "unmet": judgement.unmet,
        "turns": [_turn(each) for each in judgement.turns],
        "anomalies": [_anomaly(each) for each in judgement.anomalies[:SHOWN]],
        "anomalies_in_all": len(judgement.anomalies),
        "drill": asdict(header),
    }


def as_junit(results: Sequence[Result]) -> str:
    """One test case a drill: broken is a failure, what could not be told an error."""
    suite = Xml.Element("testsuite", name="guarita drill", tests=str(len(results)))
    failures = errors = 0
    for result in results:
        header, judgement = result.header, result.judgement
        name = f"{header.scenario} {header.title} ({header.durability}, seed {header.seed})"
        case = Xml.SubElement(
            suite,
            "testcase",
            classname=f"drill.{header.target}",
            name=_clean(name),
            time=f"{judgement.spans.end_us / 1_000_000:.3f}",
        )
        if not result.is_good:
            untold = judgement.verdict is Verdict.UNKNOWN and not header.control
            errors, failures = errors + untold, failures + (not untold)
            kind = "error" if untold else "failure"
            reason = Xml.SubElement(case, kind, message=_clean(headline(header, judgement)))
            reason.text = _clean("\n".join(_reasons(judgement)))
        Xml.SubElement(case, "system-out").text = "\n".join(
            f"{each.value} {each.name}" for each in four_figures(header, judgement)
        )
    suite.set("failures", str(failures))
    suite.set("errors", str(errors))
    return Xml.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def as_markdown(results: Sequence[Result]) -> str:
    """A table of the four figures, and below it why something is not good, and what each negative
    control found."""
    lines = [
        "| drill | durability | verdict | s without a write | lost | double | failed |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for result in results:
        header, judgement = result.header, result.judgement
        figures = [each.value for each in four_figures(header, judgement)]
        verdict = "void" if judgement.void else judgement.verdict
        if header.control:
            verdict += f" (control: {header.control})"
        cells = [f"{header.scenario} {header.title}", header.durability, verdict, *figures]
        lines.append("| " + " | ".join(each.replace("|", r"\|") for each in cells) + " |")
    for result in results:
        if not result.is_good:
            header, judgement = result.header, result.judgement
            lines += ["", f"**{header.scenario}**: {headline(header, judgement)}", ""]
            lines += [f"- {each}" for each in _reasons(judgement)]
    for result in results:
        if result.is_good and result.header.control:
            kinds = kinds_of(result.judgement)
            lines += ["", f"**{result.header.scenario}** found, as it must: {kinds}", ""]
            lines += [f"- {each}" for each in _told(result.judgement, SHOWN_OF_CONTROL)]
    return "\n".join(lines) + "\n"


def as_comparison(results: Sequence[tuple[str, Result]]) -> str:
    """A table of the four figures side by side, for each scenario and each installation."""
    lines = [
        "| what happens | installation | s without a write | lost | double | failed |",
        "|---|---|---:|---:|---:|---:|",
    ]
    by_scenario = sorted(results, key=lambda each: each[1].header.scenario)
    for installation, result in by_scenario:
        header = result.header
        figures = [each.value for each in four_figures(header, result.judgement)]
        if result.judgement.unmet:
            figures = ["could not be told", "", "", ""]
        cells = [f"{header.scenario} {header.title}", installation, *figures]
        lines.append("| " + " | ".join(each.replace("|", r"\|") for each in cells) + " |")
    return "\n".join(lines) + "\n"


def _reasons(judgement: Judgement) -> list[str]:
    return [*judgement.missed, *judgement.unmet, *_told(judgement, SHOWN)]


def _told(judgement: Judgement, shown: int) -> list[str]:
    """The first anomalies, in words."""
    found = []
    for each in judgement.anomalies[:shown]:
        ticket = f"ticket {each.ticket}: " if each.ticket else ""
        ids = ", ".join(str(operation.id) for operation in each.operations)
        where = f" (operations {ids})" if ids else ""
        found.append(f"{seconds(each.at_us)}: {ticket}{each.kind}: {each.words}{where}")
    if len(judgement.anomalies) > shown:
        found.append(f"and {len(judgement.anomalies) - shown} anomalies more")
    return found


def _turn(played: Played) -> dict[str, Any]:
    turn = played.turn
    return {
        "number": turn.number,
        "scenario": turn.scenario,
        "node": played.node,
        "at_s": round(turn.from_us / 1e6, 1),
        "pause_s": round(played.pause_s, 3),
        "failed": played.failed,
        "good": played.is_good,
    }


def _anomaly(anomaly: Anomaly) -> dict[str, Any]:
    operations = [
        {name: value for name, value in asdict(each).items() if value is not None}
        for each in anomaly.operations
    ]
    return {
        "kind": anomaly.kind,
        "words": anomaly.words,
        "at_us": anomaly.at_us,
        "ticket": anomaly.ticket,
        "operations": operations,
    }


def _clean(text: str) -> str:
    """Without characters that XML 1.0 cannot hold."""
    return "".join(each for each in text if each.isprintable() or each == "\n")
