"""Reports of a drill: for people one HTML page, for programs JSON, JUnit XML and Markdown."""

from __future__ import annotations

from pathlib import Path

from guarita.drill.check import Judgement
from guarita.drill.history import History
from guarita.drill.report.machine import (
    Result,
    as_comparison,
    as_json,
    as_junit,
    as_markdown,
)
from guarita.drill.report.page import page

__all__ = ["Result", "as_comparison", "as_json", "as_junit", "as_markdown", "page", "write"]


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
