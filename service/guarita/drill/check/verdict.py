"""From a history to a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from guarita.drill.check.anomaly import Anomaly, AnomalyKind
from guarita.drill.check.assumptions import uncovered, unsound
from guarita.drill.check.counters import counter_anomalies
from guarita.drill.check.figures import Figures, figures_of, longest_gap, too_long
from guarita.drill.check.nodes import node_anomalies, two_writable_us
from guarita.drill.check.spans import Spans, spans_of
from guarita.drill.check.tickets import Terms, judge
from guarita.drill.check.turns import Played, missed_turns, turns_of, unmet_turns
from guarita.drill.history import Answer, EventKind, History, Operation


class Verdict(StrEnum):
    """What a history shows."""

    VALID = "valid"  # the fault was there, and nothing contradicts the promise
    INVALID = "invalid"  # something does, or a bound was missed
    UNKNOWN = "unknown"  # it cannot tell


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found in a history."""

    verdict: Verdict
    figures: Figures
    anomalies: tuple[Anomaly, ...]  # in order of time
    missed: tuple[str, ...]  # bounds of the scenario
    unmet: tuple[str, ...]  # why a verdict is unknown
    spans: Spans
    two_writable_s: float  # for how long two nodes said that they take writes
    void: bool  # a negative control that lost and doubled nothing: the drill sees nothing
    turns: tuple[Played, ...] = ()  # of a drill with many faults


def check(history: History) -> Judgement:
    """Judge a history. Pure: the same history has the same judgement."""
    tickets, others = _by_ticket(history.operations)
    spans = spans_of(history.events)
    played = turns_of(history)
    faults = [each.spans for each in played] or [spans]
    broken = unsound(history, tickets)
    anomalies = (
        []
        if broken
        else sorted(_anomalies(history, tickets, others, faults), key=lambda found: found.at_us)
    )
    unmet = broken or [*uncovered(history, tickets, spans), *unmet_turns(played)]
    figures = figures_of(history.operations, anomalies, spans)
    bounded, turns = _until_stopped(history, figures, spans, played)
    missed = [] if broken else [*_missed(history, bounded), *missed_turns(turns)]
    verdict = Verdict.VALID
    if anomalies or missed:
        verdict = Verdict.INVALID
    elif unmet:
        verdict = Verdict.UNKNOWN
    return Judgement(
        verdict,
        figures,
        tuple(anomalies),
        tuple(missed),
        tuple(unmet),
        spans,
        two_writable_us(history.samples) / 1_000_000,
        void=history.header.control is not None and not (figures.lost or figures.double),
        turns=tuple(played),
    )


def _anomalies(
    history: History,
    tickets: dict[str, list[Operation]],
    others: list[Operation],
    faults: Sequence[Spans],
) -> Iterator[Anomaly]:
    terms = Terms.of(history.header)
    for ticket, operations in tickets.items():
        yield from judge(ticket, operations, terms)
    yield from counter_anomalies(others, tickets, alone=history.header.alone)
    yield from node_anomalies(history, faults)
    yield from _strange(history.operations)


def _strange(operations: Iterable[Operation]) -> Iterator[Anomaly]:
    for each in operations:
        if each.answer is Answer.STRANGE:
            words = f"a {each.kind} was answered with status {each.status}"
            at_us = each.started_us if each.ended_us is None else each.ended_us
            yield Anomaly(AnomalyKind.STRANGE, words, at_us, each.ticket, (each,))


def _until_stopped(
    history: History, figures: Figures, spans: Spans, played: Sequence[Played]
) -> tuple[Figures, Sequence[Played]]:
    """What bounds are held against: all, or what had ended when the drill was stopped.

    What was under way then was cut off by the drill, and what came after it is no drill.
    """
    stops = [each.at_us for each in history.events if each.kind is EventKind.STOPPED]
    if not stops:
        return figures, played
    stop_us = min(stops)
    ended = [e for e in history.operations if e.ended_us is not None and e.ended_us <= stop_us]
    until = replace(spans, drain_us=min(spans.drain_us, stop_us))
    turns = [each for each in played if each.turn.to_us <= stop_us]
    return figures_of(ended, (), until), turns


def _missed(history: History, figures: Figures) -> Iterator[str]:
    """A negative control has no bounds: it must fail by what it breaks."""
    header = history.header
    if header.control:
        return
    pause_s, failed = header.pause_at_most_s, header.failed_at_most
    if pause_s is not None and figures.pause_s > pause_s:
        yield too_long(figures.pause_s, _idle_s(history, figures), pause_s)
    if failed is not None and figures.failed > failed:
        yield f"{figures.failed} requests failed, at most {failed}"
    for each in history.measured:
        if each.at_most is not None and each.value > each.at_most:
            where = f"fault {each.turn}: " if each.turn else ""
            yield f"{where}{each.name} is {each.value:g}, at most {each.at_most:g}"


def _idle_s(history: History, figures: Figures) -> float:
    """Of the longest pause, the longest time in which nothing was asked."""
    from_us = round(figures.pause_began_s * 1_000_000)
    to_us = from_us + round(figures.pause_s * 1_000_000)
    begun = sorted(each.started_us for each in history.operations)
    return longest_gap(begun, from_us, to_us)[0] / 1_000_000


def _by_ticket(
    operations: Iterable[Operation],
) -> tuple[dict[str, list[Operation]], list[Operation]]:
    tickets: dict[str, list[Operation]] = {}
    others = []
    for each in operations:
        if each.ticket is None:
            others.append(each)
        else:
            tickets.setdefault(each.ticket, []).append(each)
    return tickets, others
