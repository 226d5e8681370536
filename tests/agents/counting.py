"""What a repetition's history amounts to: a pure count of what failed, was lost or was double."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from ..exactly_once.history import Anomaly, Answer, Kind, Outcome, Ticket, check

# A ticket or an admission that was acknowledged and is not there (any more).
_LOST = {Kind.LOST, Kind.REOPENED, Kind.BASELESS}
_FAILED = {Outcome.FAILED, Outcome.UNKNOWN, Outcome.OTHER}


@dataclass(frozen=True, slots=True)
class Verify:
    """Somebody asked whether a session that was acknowledged is good: MISSING means refused."""

    ticket: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Count:
    """What the service says it has created and redeemed in all."""

    answer: Answer
    created: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """All requests of a repetition; `tickets` are those whose create was acknowledged."""

    tickets: tuple[Ticket, ...]
    creates: tuple[Answer, ...]  # those that were not
    verifies: tuple[Verify, ...]
    counts: tuple[Count, ...]
    ended_s: float  # no request was begun later

    @property
    def answers(self) -> Iterator[Answer]:
        yield from self.creates
        for ticket in self.tickets:
            yield ticket.created
            yield from ticket.rivals
        yield from (each.answer for each in self.verifies)
        yield from (each.answer for each in self.counts)


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a repetition."""

    requests: int
    failed: int  # refused without a rival's admission, unavailable, unknown, or not answered
    unknown: int  # those of them that were perhaps applied
    lost: int  # tickets
    double: int  # tickets
    wrong: int  # tickets, or counters, that were told of otherwise than they can be
    pause_s: float  # the greatest gap between successive successful writes
    pause_began_s: float
    evidence: tuple[str, ...]


def figures_of(history: History) -> Figures:
    """Count everything once; a ticket that is lost twice over is one lost ticket."""
    answers = list(history.answers)
    anomalies = check(history.tickets)
    refused = [each for each in history.verifies if each.answer.outcome is Outcome.MISSING]
    backwards = list(_backwards(history))
    pause_s, began_s = longest_pause(successes(history), history.ended_s)
    wrong = set(Kind) - _LOST - {Kind.DOUBLE}
    return Figures(
        requests=len(answers),
        failed=sum(each.outcome in _FAILED for each in answers),
        unknown=sum(each.outcome is Outcome.UNKNOWN for each in answers),
        lost=len(_numbers(anomalies, _LOST) | {each.ticket for each in refused}),
        double=len(_numbers(anomalies, {Kind.DOUBLE})),
        wrong=len(_numbers(anomalies, wrong)) + len(backwards),
        pause_s=pause_s,
        pause_began_s=began_s,
        evidence=(
            *(f"ticket {each.ticket.number}: {each.kind}: {each.words}" for each in anomalies),
            *(f"ticket {each.ticket}: its session was refused" for each in refused),
            *backwards,
        ),
    )


def successes(history: History) -> list[float]:
    """When each write that was acknowledged was answered, in order."""
    return _acknowledged_at(a for each in history.tickets for a in (each.created, *each.rivals))


def longest_pause(times: list[float], ended_s: float) -> tuple[float, float]:
    """The longest time without a success, and when it began; up to the load's end counts too."""
    if not times:
        return float("inf"), 0.0
    ends = [*times, max(ended_s, times[-1])]
    return max((later - earlier, earlier) for earlier, later in pairwise(ends))


def _numbers(anomalies: list[Anomaly], kinds: set[Kind]) -> set[int]:
    return {each.ticket.number for each in anomalies if each.kind in kinds}


def _backwards(history: History) -> Iterator[str]:
    """Counters that lack what was acknowledged before they were asked for.

    The first count is asked for before anything else. What is not acknowledged may be counted and
    lost, so a count may be less than an earlier one.
    """
    told = [each for each in history.counts if each.answer.outcome is Outcome.ACKNOWLEDGED]
    if not told:
        return
    admissions = (answer for ticket in history.tickets for answer in ticket.rivals)
    created = _acknowledged_at(ticket.created for ticket in history.tickets)
    used = _acknowledged_at(admissions)
    base = min(told, key=lambda each: each.answer.started_s)
    for each in told:
        asked_s = each.answer.started_s
        if each.created < base.created + bisect_left(created, asked_s):
            yield f"created: {each.created} counted, {bisect_left(created, asked_s)} acknowledged"
        if each.used < base.used + bisect_left(used, asked_s):
            yield f"used: {each.used} counted, {bisect_left(used, asked_s)} acknowledged"


def _acknowledged_at(answers: Iterable[Answer]) -> list[float]:
    return sorted(each.ended_s for each in answers if each.outcome is Outcome.ACKNOWLEDGED)
