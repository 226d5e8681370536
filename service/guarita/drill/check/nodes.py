"""What the nodes said of themselves, and whether all was well again in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from guarita.drill.check.anomaly import Anomaly, AnomalyKind
from guarita.drill.check.spans import Spans
from guarita.drill.history import Header, History, Role, Sample

FRESH_US = 600_000  # how long a sample says how a node is: two that were missed
WELL_US = 60_000_000  # after the heal


@dataclass(frozen=True, slots=True)
class Named:
    """Whom a majority of the Sentinels named, from one moment on; None: nobody."""

    at_us: int
    node: str | None


def node_anomalies(history: History, faults: Sequence[Spans]) -> list[Anomaly]:
    """An offset that went back on the named primary; an installation that stays unwell."""
    samples = sorted(history.samples, key=lambda sample: sample.at_us)
    return [
        *_backwards(samples, history.header),
        *(found for spans in faults for found in _unsettled(spans)),
    ]


def named_primaries(samples: Sequence[Sample], header: Header) -> Iterator[Named]:
    """Each change of whom a majority names; samples in order of time."""
    words: dict[str, Sample] = {}
    last: str | None = None
    for sample in samples:
        if sample.node not in header.sentinels:
            continue
        words[sample.node] = sample
        named = _majority(words.values(), sample.at_us, len(header.sentinels))
        if named != last:
            last = named
            yield Named(sample.at_us, named)


def two_writable_us(samples: Iterable[Sample]) -> int:
    """For how long two nodes said that they take writes, whoever was named.

    It contradicts nothing: a write on the wrong one of them is not acknowledged.
    """
    recent: dict[str, Sample] = {}
    total_us = last_us = 0
    for sample in sorted(samples, key=lambda sample: sample.at_us):
        since_us = sample.at_us - FRESH_US
        if sum(each.writable and each.at_us > since_us for each in recent.values()) > 1:
            total_us += sample.at_us - last_us
        last_us, recent[sample.node] = sample.at_us, sample
    return total_us


def _majority(words: Iterable[Sample], now_us: int, sentinels: int) -> str | None:
    counts: dict[str, int] = {}
    for each in words:
        if each.names is not None and each.at_us > now_us - FRESH_US:
            counts[each.names] = counts.get(each.names, 0) + 1
    return next((node for node, count in counts.items() if count * 2 > sentinels), None)


def _backwards(samples: Sequence[Sample], header: Header) -> Iterator[Anomaly]:
    """Within one replication id, and while the node is named: writes were taken back.

    Where there are no Sentinels to name one, this holds for every primary.
    """
    changes = list(named_primaries(samples, header))[::-1]
    named: str | None = None
    lasts: dict[str, Sample] = {}
    for sample in samples:
        while changes and changes[-1].at_us <= sample.at_us:
            named, lasts = changes.pop().node, {}
        if header.sentinels and sample.node != named:
            continue
        if sample.role is not Role.PRIMARY or sample.offset is None:
            continue
        last = lasts.get(sample.node)
        same = last is not None and sample.replid is not None and last.replid == sample.replid
        if same and last is not None and sample.offset < (last.offset or 0):
            who = f"{sample.node}, {'the named' if header.sentinels else 'a'} primary,"
            words = f"{who} went from {last.offset} to {sample.offset}"
            yield Anomaly(AnomalyKind.BACKWARDS, words, sample.at_us)
        lasts[sample.node] = sample


def _unsettled(spans: Spans) -> Iterator[Anomaly]:
    if spans.heal_us is None:
        return
    limit_us = spans.heal_us + WELL_US
    if spans.well_us is None and spans.end_us >= limit_us:
        words = f"not well until the end, {(spans.end_us - spans.heal_us) / 1e6:.1f} s"
    elif spans.well_us is not None and spans.well_us > limit_us:
        words = f"well only after {(spans.well_us - spans.heal_us) / 1e6:.1f} s"
    else:
        return
    yield Anomaly(AnomalyKind.UNSETTLED, f"{words} after the fault was taken away", spans.heal_us)
