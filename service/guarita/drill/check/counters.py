"""Whether what the service says it has counted can be.

Each answer was true at one moment between question and answer. Then at least everything that had
been acknowledged before was counted, and at most everything that had been begun by then. So each
answer bounds what the counter was before the drill, and one number must lie in all bounds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from guarita.drill.check.anomaly import Anomaly, AnomalyKind
from guarita.drill.history import ADMITTED, CREATED, Answer, Kind, Operation, Outcome


def counter_anomalies(
    statuses: Iterable[Operation], tickets: Mapping[str, Sequence[Operation]], *, alone: bool
) -> list[Anomaly]:
    """`alone`: nobody else used the installation, so a counter can also be too high."""
    told = [each for each in statuses if each.answer is Answer.COUNTED]
    told.sort(key=lambda each: each.started_us)
    if not told:
        return []
    found: list[Anomaly] = []
    for kind, name in ((Kind.CREATE, "total_created"), (Kind.REDEEM, "total_used")):
        sure, begun = _bounds(tickets, kind)
        found += _check(told, name, sure, begun, alone=alone)
    return found


def _bounds(tickets: Mapping[str, Sequence[Operation]], kind: Kind) -> tuple[list[int], list[int]]:
    """When each ticket was counted at the latest, and at the earliest; both in order."""
    sure, begun = [], []
    for operations in tickets.values():
        latest_us = earliest_us = None
        for each in operations:
            if each.kind is not kind or each.outcome is Outcome.FAIL:
                continue
            # Also one that was refused in the end: a primary that was being replaced may have
            # admitted and counted it, and the service asked the next one again.
            if earliest_us is None or each.started_us < earliest_us:
                earliest_us = each.started_us
            if each.answer in (CREATED, ADMITTED) and each.ended_us is not None:
                latest_us = each.ended_us if latest_us is None else min(latest_us, each.ended_us)
        if latest_us is not None:
            sure.append(latest_us)
        if earliest_us is not None:
            begun.append(earliest_us)
    return sorted(sure), sorted(begun)


def _check(
    told: Sequence[Operation], name: str, sure: list[int], begun: list[int], *, alone: bool
) -> Iterator[Anomaly]:
    """The first answer that leaves no number for what was counted before the drill."""
    lowest: tuple[int, Operation] | None = None  # of the upper bounds
    highest: tuple[int, Operation] | None = None
    for each in told:
        value = getattr(each, name)
        end_us = each.started_us if each.ended_us is None else each.ended_us
        upper = value - bisect_left(sure, each.started_us)
        lower = value - bisect_right(begun, end_us)
        if highest is not None and upper < highest[0]:
            before = highest[1]
            words = f"{name}: {getattr(before, name)}, then {value}: acknowledged ones are missing"
            yield Anomaly(AnomalyKind.COUNTER, words, end_us, None, (before, each))
            return
        if alone and lowest is not None and lower > lowest[0]:
            before = lowest[1]
            words = f"{name}: {getattr(before, name)}, then {value}: more than were begun"
            yield Anomaly(AnomalyKind.COUNTER, words, end_us, None, (before, each))
            return
        if lowest is None or upper < lowest[0]:
            lowest = upper, each
        if highest is None or lower > highest[0]:
            highest = lower, each
