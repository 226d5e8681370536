"""Reports of a drill: for people one HTML page, for programs JSON, JUnit XML and Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from guarita.drill.check import Judgement
from guarita.drill.history import History
from guarita.drill.report.machine import (
    Result,
    as_comparison,
    as_json,
    as_junit,
    as_markdown,
    summary_as_json,
)
from guarita.drill.report.page import page
from guarita.drill.report.summary import summary

__all__ = [
    "Result",
    "as_comparison",
    "as_json",
    "as_junit",
    "as_markdown",
    "page",
    "summary",
    "write",
    "write_summary",
]


def write(directory: Path, history: History, judgement: Judgement) -> None:
    """Write `report.html`, `.json`, `.xml` and `.md` of one drill."""
    result = Result(history.header, judgement)
    for name, text in (
        ("report.html", page(history, judgement)),
        ("report.json", as_json(result)),
        ("report.xml", as_junit([result])),
        ("report.md", as_markdown([result])),
    ):
        (directory / name).write_text(text, "utf-8")


def write_summary(directory: Path, results: Mapping[Path, Result]) -> None:
    """Write `summary.html`, `.json`, `.xml` and `.md` of several drills, by their directories."""
    by_path = {
        (each.relative_to(directory) / "report.html").as_posix(): result
        for each, result in results.items()
    }
    every = tuple(results.values())
    for name, text in (
        ("summary.html", summary(by_path)),
        ("summary.json", summary_as_json(every)),
        ("summary.xml", as_junit(every)),
        ("summary.md", as_markdown(every)),
    ):
        (directory / name).write_text(text, "utf-8")
