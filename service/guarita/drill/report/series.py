"""What a report draws: rates, latencies and who said what, over the time of a drill."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from guarita.drill.check import Judgement, Spans
from guarita.drill.check.turns import Played
from guarita.drill.history import (
    Answer,
    History,
    Kind,
    Operation,
    Outcome,
    Role,
    Sample,
)

BINS = 240  # at most, over the whole time
SHORTEST_BIN_US = 100_000
STALE_US = 1_000_000  # a node that was not asked for so long says nothing


@dataclass(frozen=True, slots=True)
class Bin:
    """One step of time. Rates by when requests ended, latencies by when they began."""

    at_us: int
    writes: float  # that succeeded, a second
    reads: float  # that were answered, a second
    failed: int
    typical_ms: float | None  # the median
    slow_ms: float | None  # the slowest


@dataclass(frozen=True, slots=True)
class Segment:
    """A node said the same from one moment to another."""

    from_us: int
    to_us: int
    kind: str  # a role, or "names"
    words: str


@dataclass(frozen=True, slots=True)
class Latency:
    """How long requests of one kind took that began in one part of the drill."""

    kind: Kind
    part: str
    requests: int
    failed: int
    median_ms: float
    p99_ms: float
    slowest_ms: float


def bins_of(operations: Sequence[Operation], end_us: int) -> list[Bin]:
    """The whole time in equal steps."""
    width_us = max(SHORTEST_BIN_US, -(-end_us // BINS))
    count = max(1, -(-end_us // width_us))
    writes, reads, failed = [0] * count, [0] * count, [0] * count
    took: list[list[int]] = [[] for _ in range(count)]
    for each in operations:
        end = each.started_us if each.ended_us is None else each.ended_us
        at = min(end // width_us, count - 1)
        if each.outcome is not Outcome.OK:
            failed[at] += 1
        elif each.answer in (Answer.CREATED, Answer.ADMITTED):
            writes[at] += 1
        else:
            reads[at] += 1
        took[min(each.started_us // width_us, count - 1)].append(end - each.started_us)
    seconds = width_us / 1_000_000
    return [
        Bin(
            number * width_us,
            writes[number] / seconds,
            reads[number] / seconds,
            failed[number],
            _quantile_ms(sorted(took[number]), 0.5) if took[number] else None,
            max(took[number]) / 1000 if took[number] else None,
        )
        for number in range(count)
    ]


def latencies_of(operations: Iterable[Operation], judgement: Judgement) -> list[Latency]:
    """Before, during and after the fault, or during and between many, for each kind of request."""
    spans = judgement.spans
    part = partial(_part_of_many, judgement.turns) if judgement.turns else partial(_part, spans)
    groups: dict[tuple[Kind, str], list[Operation]] = defaultdict(list)
    for each in operations:
        if each.started_us < spans.look_us:
            groups[each.kind, part(each.started_us)].append(each)
    found = []
    for kind in Kind:
        for name in ("before", "during", "after", "between"):
            if asked := groups.get((kind, name)):
                took = sorted(map(_took_us, asked))
                found.append(
                    Latency(
                        kind,
                        name,
                        len(asked),
                        sum(each.outcome is not Outcome.OK for each in asked),
                        _quantile_ms(took, 0.5),
                        _quantile_ms(took, 0.99),
                        took[-1] / 1000,
                    )
                )
    return found


def strips_of(history: History, end_us: int, *, coarse: bool = False) -> dict[str, list[Segment]]:
    """For each node, data nodes first, what it said over the time.

    `coarse`: data nodes alone, and what each said for most of each step of time.
    """
    header = history.header
    names = header.nodes if coarse else (*header.nodes, *header.sentinels)
    by_node: dict[str, list[Sample]] = {name: [] for name in names}
    for sample in sorted(history.samples, key=lambda sample: sample.at_us):
        if sample.node in by_node or not coarse:
            by_node.setdefault(sample.node, []).append(sample)
    strips = {
        node: list(_segments(samples, end_us)) for node, samples in by_node.items() if samples
    }
    if not coarse:
        return strips
    return {node: list(_coarse(segments, end_us)) for node, segments in strips.items()}


def _coarse(segments: Sequence[Segment], end_us: int) -> Iterator[Segment]:
    step_us = max(1, -(-end_us // BINS))
    most: dict[int, tuple[int, Segment]] = {}
    for each in segments:
        for step in range(each.from_us // step_us, max(each.to_us - 1, 0) // step_us + 1):
            from_us, to_us = max(each.from_us, step * step_us), (step + 1) * step_us
            long_us = min(each.to_us, to_us) - from_us
            if step not in most or long_us > most[step][0]:
                most[step] = long_us, each
    last: Segment | None = None
    for step, (_, said) in sorted(most.items()):
        to_us = min((step + 1) * step_us, end_us)
        if last and (last.kind, last.words, last.to_us) == (said.kind, said.words, step * step_us):
            last = Segment(last.from_us, to_us, last.kind, last.words)
            continue
        if last:
            yield last
        last = Segment(step * step_us, to_us, said.kind, said.words)
    if last:
        yield last


def _segments(samples: Sequence[Sample], end_us: int) -> Iterator[Segment]:
    begin, last = samples[0], samples[0]
    for sample in samples[1:]:
        stale = sample.at_us - last.at_us > STALE_US
        if stale or _said(sample) != _said(begin):
            yield _segment(begin, last.at_us + STALE_US if stale else sample.at_us)
            begin = sample
        last = sample
    yield _segment(begin, min(end_us, last.at_us + STALE_US))


def _segment(begin: Sample, to_us: int) -> Segment:
    return Segment(max(0, begin.at_us), to_us, *_said(begin))


def _said(sample: Sample) -> tuple[str, str]:
    match sample.role:
        case Role.SENTINEL:
            return ("names", f"names {sample.names}") if sample.names else ("none", "names nobody")
        case Role.PRIMARY:
            return ("primary", "primary") if sample.writable else ("fenced", "primary, no writes")
        case Role.REPLICA:
            link = "replica" if sample.linked else "unlinked"
            whom = f"replica of {sample.names or 'nobody known'}"
            return link, whom if sample.linked else f"{whom}, link down"
    return sample.role.value, sample.role.value


def _took_us(operation: Operation) -> int:
    return 0 if operation.ended_us is None else operation.ended_us - operation.started_us


def _part_of_many(turns: Sequence[Played], at_us: int) -> str:
    at = bisect_right(turns, at_us, key=lambda each: each.turn.from_us) - 1
    part = _part(turns[at].spans, at_us) if at >= 0 else ""
    return "during" if part == "during" else "between"


def _part(spans: Spans, at_us: int) -> str:
    if spans.fault_us is None or at_us < spans.fault_us:
        return "before"
    return "during" if spans.heal_us is None or at_us < spans.heal_us else "after"


def _quantile_ms(ordered: Sequence[int], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000
