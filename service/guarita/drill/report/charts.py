"""The timeline as HTML: two plots and a strip for each node over one axis of time.

Shapes are SVG that is stretched to the width there is; text is HTML, so that it keeps its size on a
phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from guarita.drill.check import Judgement
from guarita.drill.history import Event, EventKind, History
from guarita.drill.report import turns as faults
from guarita.drill.report.series import Bin, Segment, bins_of, strips_of

WIDTH, HEIGHT = 1000, 100
TICKS = 10
LEAST_MS = 1.0  # the bottom of the plot of latencies
MOST_MARKS = 60  # that have a number
NAMED_COLOURS = 3


def timeline(history: History, judgement: Judgement) -> str:
    """Rates, latencies and roles, with the fault behind them."""
    end_us = max(judgement.spans.end_us, 1)
    bins = bins_of(history.operations, end_us)
    shade = _shade(judgement, end_us)
    most = _most(bins, judgement.spans.look_us)
    rows = [
        _row("", _marks(history.events, end_us)),
        _row("phase", _phases(judgement, end_us)),
        _row("answers/s", _plot(_rates(bins, end_us, most), shade, _rate_scale(most))),
        _row("latency", _plot(_latencies(bins, end_us), shade, _latency_scale(bins))),
        *_turns(judgement, shade, end_us),
        *_strips(history, end_us, many=bool(judgement.turns)),
        _row("", _axis(end_us)),
    ]
    return f'<div class="timeline">{"".join(rows)}</div>{_key(judgement)}'


def numbered(events: Iterable[Event]) -> list[Event]:
    """What has a number above the plots, in order; roles have strips of their own."""
    shown = (EventKind.FAULT, EventKind.HEAL, EventKind.NOTE)
    return sorted((e for e in events if e.kind in shown), key=lambda event: event.at_us)


def _turns(judgement: Judgement, shade: str, end_us: int) -> Iterator[str]:
    if judgement.turns:
        most = faults.longest_s(judgement.turns)
        scale = f'<span class="scale" style="top:.25rem">{most:.1f} s</span>'
        yield _row("pauses", _plot(faults.bars(judgement.turns, end_us), shade, scale))


def _row(name: str, content: str) -> str:
    return f'<div class="row"><span class="name">{escape(name)}</span>{content}</div>'


def _plot(shapes: str, shade: str, scale: str) -> str:
    return (
        f'<div class="track plot"><svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" '
        f'aria-hidden="true">{shade}{shapes}</svg>{scale}</div>'
    )


def _shade(judgement: Judgement, end_us: int) -> str:
    """The fault, and the longest pause as a line at the bottom."""
    spans, figures = judgement.spans, judgement.figures
    shapes = ""
    for each in judgement.turns:
        if each.spans.fault_us is not None:
            until_us = each.spans.heal_us or each.turn.to_us
            shapes += _box(
                "fill-fault", each.spans.fault_us, until_us - each.spans.fault_us, end_us
            )
    if spans.fault_us is not None and not judgement.turns:
        until_us = end_us if spans.heal_us is None else spans.heal_us
        shapes += _box("fill-fault", spans.fault_us, max(1, until_us - spans.fault_us), end_us)
    left = figures.pause_began_s * 1e6 / end_us * WIDTH
    right = left + figures.pause_s * 1e6 / end_us * WIDTH
    return shapes + f'<path class="fill-pause" d="M{left:.2f} 98.5H{right:.2f}"/>'


def _box(kind: str, from_us: float, long_us: float, end_us: int) -> str:
    left, wide = from_us / end_us * WIDTH, max(1.5, long_us / end_us * WIDTH)
    return f'<rect class="{kind}" x="{left:.2f}" y="0" width="{wide:.2f}" height="{HEIGHT}"/>'


def _rates(bins: Sequence[Bin], end_us: int, most: float) -> str:
    """Writes below, reads on top of them; what failed hangs from above."""
    wide = WIDTH / len(bins)
    shapes: list[str] = []
    for number, each in enumerate(bins):
        left, bottom = number * wide, float(HEIGHT)
        for kind, rate in (("fill-writes", each.writes), ("fill-reads", each.reads)):
            high = min(bottom, rate / most * HEIGHT)
            bottom -= high
            if high:
                shapes.append(_bar(kind, left, bottom, wide, high))
        if each.failed:
            width_s = end_us / len(bins) / 1_000_000
            high = min(HEIGHT, max(3.0, each.failed / width_s / most * HEIGHT))
            shapes.append(_bar("fill-failed", left, 0, wide, high))
    return "".join(shapes)


def _bar(kind: str, left: float, top: float, wide: float, high: float) -> str:
    return (
        f'<rect class="{kind}" x="{left:.2f}" y="{top:.2f}" width="{wide * 0.92:.2f}" '
        f'height="{high:.2f}"/>'
    )


def _most(bins: Sequence[Bin], look_us: int) -> float:
    """Of the load: the last look asks for all tickets as fast as it can."""
    step_us = bins[1].at_us if len(bins) > 1 else 0
    rates = [each.writes + each.reads for each in bins if each.at_us + step_us <= look_us]
    return _round_up(max(rates, default=0) * 1.02 or 1)


def _round_up(value: float) -> float:
    """To 1, 2 or 5 times a power of ten."""
    power: float = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value)


def _rate_scale(most: float) -> str:
    return f'<span class="scale" style="top:.25rem">{most:,.0f}</span>'


def _latencies(bins: Sequence[Bin], end_us: int) -> str:
    """The median and the slowest, on a logarithmic scale."""
    top = _top_ms(bins)
    grid = "".join(
        f'<path class="grid" d="M0 {_height(10.0**power, top):.2f}H{WIDTH}"/>'
        for power in range(1, round(math.log10(top)))
    )
    slow = [(each.at_us, each.slow_ms) for each in bins]
    typical = [(each.at_us, each.typical_ms) for each in bins]
    step_us = end_us / len(bins)
    return (
        f'{grid}<path class="line slow" d="{_path(slow, step_us, end_us, top)}"/>'
        f'<path class="line typical" d="{_path(typical, step_us, end_us, top)}"/>'
    )


def _path(
    points: Sequence[tuple[int, float | None]], step_us: float, end_us: int, top: float
) -> str:
    """Steps, so that a single value is seen too; with a gap where there is none."""
    parts = []
    above = False
    for at_us, value in points:
        if value is None:
            above = False
            continue
        left, right = at_us / end_us * WIDTH, (at_us + step_us) / end_us * WIDTH
        high = _height(value, top)
        parts.append(f"{'L' if above else 'M'}{left:.2f} {high:.2f}H{right:.2f}")
        above = True
    return "".join(parts)


def _height(value_ms: float, top: float) -> float:
    share = math.log10(max(value_ms, LEAST_MS) / LEAST_MS) / math.log10(top / LEAST_MS)
    return HEIGHT - 2 - share * (HEIGHT - 4)


def _top_ms(bins: Sequence[Bin]) -> float:
    most = max((each.slow_ms or 0 for each in bins), default=0)
    return 10.0 ** max(2, math.ceil(math.log10(max(most, 1))))


def _latency_scale(bins: Sequence[Bin]) -> str:
    top = _top_ms(bins)
    found = []
    for power in range(round(math.log10(top)) + 1):
        value = 10.0**power
        words = f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"
        place = "top:.25rem" if value == top else f"top:calc({_height(value, top):.1f}% - .75rem)"
        found.append(f'<span class="scale" style="{place}">{words}</span>')
    return "".join(found)


def _strips(history: History, end_us: int, *, many: bool) -> Iterator[str]:
    """Of many faults, what each data node said most in each step of time."""
    colours = {node: at % NAMED_COLOURS for at, node in enumerate(history.header.nodes)}
    for node, segments in strips_of(history, end_us, coarse=many).items():
        pieces = "".join(_piece(each, colours, end_us) for each in segments)
        yield _row(node, f'<div class="track strip">{pieces}</div>')


def _piece(segment: Segment, colours: dict[str, int], end_us: int) -> str:
    left = segment.from_us / end_us * 100
    wide = max(0.0, min(segment.to_us, end_us) - segment.from_us) / end_us * 100
    kind, words = segment.kind, segment.words
    label = words
    if kind == "names":
        label = words.removeprefix("names ")
        kind = f"names-{colours.get(label, 0)}"
    span = f"{segment.from_us / 1e6:.1f} to {segment.to_us / 1e6:.1f} s"
    text = escape(label) if wide > 4 else ""
    title = escape(f"{words}, {span}", quote=True)
    return (
        f'<i class="{kind}" style="left:{left:.3f}%;width:{wide:.3f}%" title="{title}">{text}</i>'
    )


def _phases(judgement: Judgement, end_us: int) -> str:
    """Who asked: the load, or the last look at every ticket."""
    spans = judgement.spans
    moments = ((0, "load"), (spans.drain_us, "drain"), (spans.look_us, "last look"))
    ends = (*(at_us for at_us, _ in moments[1:]), end_us)
    segments = [
        Segment(at_us, to_us, "phase", words)
        for (at_us, words), to_us in zip(moments, ends, strict=True)
    ]
    pieces = "".join(_piece(each, {}, end_us) for each in segments)
    return f'<div class="track strip">{pieces}</div>'


def _marks(events: Iterable[Event], end_us: int) -> str:
    marked = numbered(events)
    if len(marked) > MOST_MARKS:
        return ""
    pieces = [
        f'<b class="{each.kind}" style="left:{max(0, each.at_us) / end_us * 100:.3f}%">{number}</b>'
        for number, each in enumerate(marked, 1)
    ]
    return f'<div class="track marks">{"".join(pieces)}</div>'


def _axis(end_us: int) -> str:
    end_s = end_us / 1_000_000
    step_s = _round_up(end_s / TICKS)
    ticks = [at * step_s for at in range(math.floor(end_s / step_s) + 1)]
    pieces = [
        f'<span style="left:{tick / end_s * 100:.3f}%">{tick:g}</span>'
        for tick in ticks
        if tick < end_s * 0.82  # beside it there is room for the end on a phone
    ]
    pieces.append(f'<span style="left:100%">{end_s:.0f} s</span>')
    return f'<div class="track axis">{"".join(pieces)}</div>'


def _key(judgement: Judgement) -> str:
    names = [
        ("writes", "successful writes, and the median latency"),
        ("reads", "other answers"),
        ("failed", "failed requests (from above), and the longest pause (a line below)"),
        ("slow", "slowest request"),
        ("fault", "while the fault lasted"),
        ("primary", "primary"),
        ("replica", "replica"),
        ("warn", "primary that takes no writes, link down, loading"),
        ("silent", "silent"),
    ]
    if judgement.turns:
        names.insert(1, ("writes", "the pause at each fault, red where a bound was missed"))
    pieces = "".join(f'<li><i class="key-{kind}"></i>{words}</li>' for kind, words in names)
    more = ""
    if judgement.two_writable_s:
        more = (
            f'<p class="quiet">For {judgement.two_writable_s:.1f} s two nodes said that they take '
            "writes. That alone breaks no promise: on the wrong one none is acknowledged.</p>"
        )
    return f'<ul class="key">{pieces}</ul>{more}'
