"""Several drills as one HTML page: their figures, and what each negative control found."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from guarita.drill.report.machine import Result
from guarita.drill.report.page import anomalies, document
from guarita.drill.report.words import four_figures, headline, kinds_of

SHOWN = 3  # anomalies of one kind; the report of the drill shows more


def summary(results: Mapping[str, Result]) -> str:
    """The whole page. Results by the path of their own reports, as this page reaches them."""
    bad = sum(not each.is_good for each in results.values())
    tone, badge = ("is-bad", f"{bad} not good") if bad else ("is-good", "all good")
    body = (
        f"<h1>{len(results)} drills</h1>"
        f'<p><span class="verdict {tone}">{badge}</span></p>'
        f"{_table(results)}{_controls(results)}"
    )
    return document("Guarita drills", body)


def _table(results: Mapping[str, Result]) -> str:
    names = ("drill", "what happened", "verdict", "s without a write", "lost", "double", "failed")
    rows = "".join(map(_row, results, results.values()))
    return f'<div class="wide"><table>{_cells("th", names)}{rows}</table></div>'


def _row(path: str, result: Result) -> str:
    header, judgement = result.header, result.judgement
    told = "void" if judgement.void else judgement.verdict.value
    if not result.is_good:
        told = f"{told}: {headline(header, judgement)}"
    elif header.control:
        told = f"{told}, as it must be: {kinds_of(judgement)}"
    figures = [each.value for each in four_figures(header, judgement)]
    link = f'<a href="{escape(path)}">{escape(header.scenario)}</a>'
    return _cells("td", (header.title, told, *figures), before=f"<td>{link}</td>")


def _cells(tag: str, cells: tuple[str, ...], before: str = "") -> str:
    return f"<tr>{before}{''.join(f'<{tag}>{escape(each)}</{tag}>' for each in cells)}</tr>"


def _controls(results: Mapping[str, Result]) -> str:
    return "".join(
        anomalies(
            each.judgement,
            f"What the control {each.header.scenario} found: {each.header.control}",
            SHOWN,
        )
        or f"<h2>The control {each.header.scenario} found nothing</h2>"
        for each in results.values()
        if each.header.control
    )
