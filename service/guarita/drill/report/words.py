"""Judgements in words, the same in every kind of report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from guarita.drill.check import Judgement, Verdict
from guarita.drill.history import Header


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the four, as it is shown."""

    name: str
    value: str
    bound: str  # what was allowed, or empty
    good: bool


def headline(header: Header, judgement: Judgement) -> str:
    """What came out, in one sentence."""
    if header.control:
        if judgement.void:
            return "Void: this control breaks the promise on purpose, and nothing was found."
        return "As it must be: this control breaks the promise on purpose, and it was found."
    match judgement.verdict:
        case Verdict.VALID:
            return "Every answer fits the promise, and every bound was kept."
        case Verdict.UNKNOWN:
            return "It cannot be told: " + "; ".join(judgement.unmet) + "."
    if not judgement.anomalies:
        return "Every answer fits the promise, but a bound was missed."
    return f"Broken: {kinds_of(judgement)}."


def kinds_of(judgement: Judgement) -> str:
    """How many anomalies of each kind."""
    kinds = Counter(each.kind for each in judgement.anomalies)
    return ", ".join(f"{count} x {kind}" for kind, count in kinds.items())


def four_figures(header: Header, judgement: Judgement) -> tuple[Figure, Figure, Figure, Figure]:
    """What every report leads with."""
    figures = judgement.figures
    pause_s, failed = header.pause_at_most_s, header.failed_at_most
    if header.control:
        pause_s = failed = None
    return (
        Figure(
            "seconds without a successful write",
            f"{figures.pause_s:.2f}",
            "" if pause_s is None else f"at most {pause_s:g}",
            pause_s is None or figures.pause_s <= pause_s,
        ),
        Figure("acknowledged tickets lost", f"{figures.lost:,}", "at most 0", not figures.lost),
        Figure("double admissions", f"{figures.double:,}", "at most 0", not figures.double),
        Figure(
            "requests failed",
            f"{figures.failed:,}",
            f"of {figures.requests:,}" + ("" if failed is None else f", at most {failed:,}"),
            failed is None or figures.failed <= failed,
        ),
    )


def seconds(at_us: int) -> str:
    """A moment of the drill."""
    return f"{at_us / 1_000_000:.3f} s"
