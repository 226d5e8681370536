"""A drill that plays many faults, one after another: what each cost."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guarita.drill.check.assumptions import is_write
from guarita.drill.check.figures import longest_gap, too_long
from guarita.drill.check.spans import Spans, spans_of
from guarita.drill.history import EventKind, History, Outcome, Turn


@dataclass(frozen=True, slots=True)
class Played:
    """One turn. Lost and double tickets are those of the whole drill."""

    turn: Turn
    node: str | None  # whom its first fault was about
    spans: Spans
    pause_s: float  # the longest time without a successful write
    idle_s: float  # of that pause, the longest time in which nothing was asked
    failed: int
    asked: int  # while the fault lasted
    writes_before: int  # that succeeded
    writes_after: int

    @property
    def is_good(self) -> bool:
        """Whether it kept the bounds of its scenario on requests and on the pause."""
        return not any(missed_turns([self]))


def turns_of(history: History) -> list[Played]:
    """In order."""
    turns = sorted(history.turns, key=lambda turn: turn.from_us)
    if not turns:
        return []
    operations = history.operations
    begun = sorted(each.started_us for each in operations)
    failed = sorted(o.started_us for o in operations if o.outcome is not Outcome.OK)
    writes = sorted(o.ended_us for o in operations if is_write(o) and o.ended_us is not None)
    events = sorted(history.events, key=lambda event: event.at_us)
    times = [each.at_us for each in events]
    played = []
    for turn in turns:
        own = events[bisect_left(times, turn.from_us) : bisect_right(times, turn.to_us)]
        spans = spans_of(own)
        faults = [each.node for each in own if each.kind is EventKind.FAULT]
        fault_us = turn.to_us if spans.fault_us is None else spans.fault_us
        heal_us = turn.to_us if spans.heal_us is None else spans.heal_us
        pause_us, began_us = _pause(writes, turn)
        idle_us, _ = longest_gap(begun, began_us, began_us + pause_us)
        played.append(
            Played(
                turn,
                next(iter(faults), None),
                spans,
                pause_us / 1_000_000,
                idle_us / 1_000_000,
                _between(failed, turn.from_us, turn.to_us),
                _between(begun, fault_us, spans.over_us or fault_us),
                _between(writes, turn.from_us, fault_us),
                _between(writes, heal_us, turn.to_us),
            )
        )
    return played


def unmet_turns(played: Sequence[Played]) -> Iterator[str]:
    """Why finding nothing in a turn would mean nothing."""
    for each in played:
        name = name_of(each.turn)
        if each.spans.fault_us is None or each.spans.heal_us is None:
            yield f"{name}: no fault was injected, or it was not healed"
        elif not each.writes_before:
            yield f"{name}: no write succeeded before it"
        elif not each.asked:
            yield f"{name}: nothing was asked while it lasted"
        elif not each.writes_after:
            yield f"{name}: no write succeeded after it"
        elif each.spans.well_us is None:
            yield f"{name}: nobody saw the installation well again"


def missed_turns(played: Sequence[Played]) -> Iterator[str]:
    """Bounds of their scenarios."""
    for each in played:
        pause_s, failed = each.turn.pause_at_most_s, each.turn.failed_at_most
        name = name_of(each.turn)
        if pause_s is not None and each.pause_s > pause_s:
            yield f"{name}: {too_long(each.pause_s, each.idle_s, pause_s)}"
        if failed is not None and each.failed > failed:
            yield f"{name}: {each.failed} requests failed, at most {failed}"


def name_of(turn: Turn) -> str:
    return f"fault {turn.number} ({turn.scenario})"


def _pause(writes: Sequence[int], turn: Turn) -> tuple[int, int]:
    """The longest, and from when; also where it begins before the turn or ends after it."""
    first, last = bisect_right(writes, turn.from_us), bisect_left(writes, turn.to_us)
    before = writes[first - 1] if first else turn.from_us
    after = writes[last] if last < len(writes) else turn.to_us
    return longest_gap(writes, before, after)


def _between(times: Sequence[int], from_us: int, to_us: int) -> int:
    return bisect_right(times, to_us) - bisect_left(times, from_us)
