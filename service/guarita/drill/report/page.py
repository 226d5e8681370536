"""A report as one HTML page that needs nothing else: no script, no font, no address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby

from guarita.drill.check import Anomaly, AnomalyKind, Judgement, Verdict
from guarita.drill.history import Event, EventKind, History, Measured, Operation
from guarita.drill.report import turns
from guarita.drill.report.charts import numbered, timeline
from guarita.drill.report.series import latencies_of
from guarita.drill.report.words import four_figures, headline, seconds

SHOWN = 20  # anomalies of one kind; the history has them all


def page(history: History, judgement: Judgement) -> str:
    """The whole report."""
    header = history.header
    body = "".join(
        (
            _top(history, judgement),
            _reasons("Bounds that were missed", judgement.missed),
            _reasons("What keeps it from telling", judgement.unmet),
            f"<h2>Timeline</h2>{timeline(history, judgement)}",
            turns.table(judgement.turns) or _events(history.events),
            anomalies(judgement),
            _latencies(history, judgement),
            _measured(history),
            _facts(history, judgement),
        )
    )
    return document(f"{header.scenario}: {header.title}: {judgement.verdict}", body)


def document(title: str, body: str) -> str:
    """A page of its own around this."""
    style = files("guarita.drill.report").joinpath("report.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _top(history: History, judgement: Judgement) -> str:
    header = history.header
    good = judgement.verdict is Verdict.VALID
    if header.control:
        good = not judgement.void
    bad = judgement.void or (not good and judgement.verdict is Verdict.INVALID)
    tone = "is-good" if good else "is-bad" if bad else ""
    badge = "void" if judgement.void else judgement.verdict
    figures = "".join(
        f'<dl class="figure{"" if each.good else " is-bad"}"><dd>{each.value}</dd>'
        f'<dt>{each.name}</dt><dt class="quiet">{each.bound}</dt></dl>'
        for each in four_figures(header, judgement)
    )
    control = f" · negative control: {escape(header.control)}" if header.control else ""
    return (
        f'<p class="quiet">Guarita drill · {escape(header.date)} · {escape(header.target)} · '
        f"{escape(header.topology)} · {escape(header.durability)}{control}</p>"
        f"<h1>{escape(header.scenario)}: {escape(header.title)}</h1>"
        f'<p><span class="verdict {tone}">{badge}</span></p>'
        f"<p>{escape(headline(header, judgement))}</p>"
        f'<div class="figures">{figures}</div>'
    )


def _reasons(title: str, reasons: Sequence[str]) -> str:
    if not reasons:
        return ""
    lines = "".join(f"<li>{escape(each)}</li>" for each in reasons)
    return f"<h2>{title}</h2><ul>{lines}</ul>"


def _events(events: Iterable[Event]) -> str:
    numbers = {id(each): number for number, each in enumerate(numbered(events), 1)}
    shown = [e for e in events if e.kind is not EventKind.PHASE]
    rows = [
        (
            str(numbers.get(id(each), "")),
            seconds(each.at_us),
            each.kind,
            each.node or "",
            each.text or "all is well",
        )
        for each in sorted(shown, key=lambda event: event.at_us)
    ]
    return _table(("", "when", "what", "node", ""), rows, numbers=(1,), kind="events")


def anomalies(judgement: Judgement, title: str = "Anomalies", shown: int = SHOWN) -> str:
    """The first of each kind, each with the operations that contradict each other."""
    if not judgement.anomalies:
        return ""
    order = list(AnomalyKind)
    by_kind = sorted(judgement.anomalies, key=lambda anomaly: order.index(anomaly.kind))
    parts = [f"<h2>{escape(title)}</h2>"]
    for kind, group in groupby(by_kind, key=lambda anomaly: anomaly.kind):
        found = list(group)
        parts.append(f"<h3>{escape(kind.capitalize())}: {len(found):,}</h3>")
        parts.extend(map(_anomaly, found[:shown]))
        if len(found) > shown:
            parts.append(f'<p class="quiet">and {len(found) - shown:,} more of this kind</p>')
    return "".join(parts)


def _anomaly(anomaly: Anomaly) -> str:
    ticket = f"Ticket <code>{escape(anomaly.ticket)}</code>: " if anomaly.ticket else ""
    return (
        f'<div class="anomaly"><p>{ticket}{escape(anomaly.words)}.</p>'
        f"{_operations(anomaly.operations)}</div>"
    )


def _operations(operations: Sequence[Operation]) -> str:
    """A table, with a bar for each from question to answer."""
    if not operations:
        return ""
    first = min(each.started_us for each in operations)
    last = max(each.ended_us or each.started_us for each in operations)
    long = max(1, last - first)
    rows = []
    for each in operations:
        left = (each.started_us - first) / long * 100
        wide = ((each.ended_us or last) - each.started_us) / long * 100
        kind = each.answer.value if each.outcome == "ok" else "open"
        bar = f'<span><i class="{kind}" style="left:{left:.2f}%;width:{wide:.2f}%"></i></span>'
        cells = (each.kind, each.attempt or "", each.answer)
        rows.append(
            f'<tr><td class="number">{each.id}</td>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + f'<td class="number">{seconds(each.started_us)}</td>'
            + f'<td class="number">{"no end" if each.ended_us is None else seconds(each.ended_us)}'
            + f'</td><td>{escape(each.client)}</td><td class="bars">{bar}</td></tr>'
        )
    names = ("no.", "asked", "attempt", "answer", "from", "to", "client", "")
    head = "".join(f"<th>{name}</th>" for name in names)
    table = f'<table class="operations"><tr>{head}</tr>{"".join(rows)}</table>'
    return f'<div class="wide">{table}</div>'


def _latencies(history: History, judgement: Judgement) -> str:
    rows = [
        (
            each.kind,
            each.part,
            f"{each.requests:,}",
            f"{each.failed:,}",
            *(f"{value:,.1f}" for value in (each.median_ms, each.p99_ms, each.slowest_ms)),
        )
        for each in latencies_of(history.operations, judgement)
    ]
    names = ("request", "fault", "asked", "failed", "median", "99 %", "slowest")
    return "<h2>Requests, latencies in ms</h2>" + _table(names, rows, numbers=range(2, 7))


def _measured(history: History) -> str:
    """Of many faults, the highest value of each."""
    highest: dict[str, Measured] = {}
    for each in history.measured:
        if each.name not in highest or each.value > highest[each.name].value:
            highest[each.name] = each
    rows = [
        (each.name, f"{each.value:g}", "" if each.at_most is None else f"{each.at_most:g}")
        for each in highest.values()
    ]
    if not rows:
        return ""
    return "<h2>Measured</h2>" + _table(("figure", "value", "at most"), rows, numbers=(1, 2))


def _facts(history: History, judgement: Judgement) -> str:
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        for name, value in _facts_of(history, judgement)
    )
    return f'<h2>The run</h2><dl class="facts">{lines}</dl>'


def _facts_of(history: History, judgement: Judgement) -> Iterator[tuple[str, str]]:
    header, figures = history.header, judgement.figures
    if header.command:
        yield "again", header.command
    yield "load", f"{figures.load_s:.1f} s, {header.rate:g} requests a second, seed {header.seed}"
    yield "requests", f"{figures.requests:,}, {figures.repeated:,} of them repeated"
    yield "unknown", f"{figures.unknown:,} of {figures.failed:,} failed were perhaps applied"
    yield "tickets", f"{figures.tickets:,} created, {figures.admissions:,} admissions answered"
    yield "longest pause", f"began at {figures.pause_began_s:.2f} s"
    yield "nodes", ", ".join(header.nodes)
    yield "Sentinels", ", ".join(header.sentinels) or "none"
    yield "ticket, session", f"{header.ticket_ttl_s:g} s, {header.session_ttl_s:g} s"
    yield "machine", header.machine
    yield from header.versions.items()


def _table(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Iterable[int],
    kind: str = "",
) -> str:
    if not rows:
        return ""
    right = set(numbers)

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=number' if at in right else ''}>{escape(cell)}</{tag}>"
            for at, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = f"<tr>{cells('th', names)}</tr>"
    return f'<div class="wide"><table class="{kind}">{head}{body}</table></div>'
