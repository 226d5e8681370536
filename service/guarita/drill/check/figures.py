"""The figures of a drill."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from guarita.drill.check.anomaly import Anomaly, AnomalyKind
from guarita.drill.check.assumptions import is_write
from guarita.drill.check.spans import Spans
from guarita.drill.history import ADMITTED, CREATED, OK, Operation, Outcome

IDLE_S = 1.0  # a load at a fixed rate asks far more often, whatever is answered


@dataclass(frozen=True, slots=True)
class Figures:
    """The first four are what a drill is about."""

    pause_s: float  # the longest time without a successful write
    lost: int  # tickets that were acknowledged, created or admitted, and were not there any more
    double: int  # tickets that were admitted twice
    failed: int  # requests that failed in the end, after their repeats
    pause_began_s: float
    requests: int  # under load, without the last look
    unknown: int  # of the failed ones: perhaps applied
    repeated: int  # requests that needed a repeat
    tickets: int  # acknowledged
    admissions: int
    load_s: float


def figures_of(
    operations: Sequence[Operation], anomalies: Iterable[Anomaly], spans: Spans
) -> Figures:
    """Count each ticket once, however many anomalies it has."""
    under_load = [each for each in operations if each.started_us < spans.look_us]
    failed = [each for each in under_load if each.outcome is not OK]
    lost, double = set(), set()
    for each in anomalies:
        if each.kind.loses:
            lost.add(each.ticket)
        elif each.kind is AnomalyKind.DOUBLE:
            double.add(each.ticket)
    writes = sorted(each.ended_us for each in under_load if is_write(each) and each.ended_us)
    pause_us, began_us = longest_gap(writes, 0, spans.drain_us)
    return Figures(
        pause_s=pause_us / 1_000_000,
        lost=len(lost),
        double=len(double),
        failed=len(failed),
        pause_began_s=began_us / 1_000_000,
        requests=len(under_load),
        unknown=sum(each.outcome is Outcome.UNKNOWN for each in failed),
        repeated=sum(each.retries > 0 for each in under_load),
        tickets=sum(each.answer is CREATED for each in operations),
        admissions=sum(each.answer is ADMITTED for each in under_load),
        load_s=spans.drain_us / 1_000_000,
    )


def longest_gap(times: Sequence[int], from_us: int, to_us: int) -> tuple[int, int]:
    """How long, and from when; of times in order, and also to both ends."""
    within = times[bisect_right(times, from_us) : bisect_left(times, to_us)]
    return max((later - earlier, earlier) for earlier, later in pairwise([from_us, *within, to_us]))


def too_long(pause_s: float, idle_s: float, at_most_s: float) -> str:
    """That writes paused for longer than they may, and whether the load stood still itself."""
    words = f"{pause_s:.2f} s without a successful write, at most {at_most_s:g} s"
    if idle_s <= IDLE_S:
        return words
    return f"{words}; for {idle_s:.2f} s of them nothing was asked: the machine itself stood still"
