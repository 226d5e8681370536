"""Writes a run down: `performance.md` with its tables, and `performance.json` with all samples."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import ROWS, Guarita, Row, Server
from bench.course import MEMORY_RECORDS
from bench.picture import draw
from bench.results import BASE_CONNECTIONS, CALLERS, FLOOR, RATE_PER_S, Entry, Results


@dataclass(frozen=True, slots=True)
class Targets:
    """Processor time at the most, with express-session's as 1; and requests a second with
    `balanced` at the least, with those of `fast` as 1."""

    change: float
    verify: float
    remembered: float
    rate: float


TARGETS: dict[Server, Targets] = {
    "gunicorn": Targets(change=0.8, verify=0.6, remembered=0.45, rate=0.9),
    "granian": Targets(change=0.55, verify=0.35, remembered=0.25, rate=0.85),
}
SAMPLES = "performance.json"
GROWTH_TARGET = 0.1  # from few to many live tickets
OPERATIONS_TARGET = 10_000  # a second, of the store alone, in one process
P99_TARGET_MS = 1.0  # of the store alone, at `RATE_PER_S`

WORK = {
    "create": "Make a ticket (the peers: a session) for a user: one write with an expiry.",
    "redeem": "Read it, refuse it if it was used, mark it used: each request another ticket.",
    "verify": "Tell whom a session belongs to, by the cookie; nothing is written.",
}
REASONS = """\
What Guarita does in a request and the peers do not: it keeps to a deadline, logs a line for the
request and one for the security event, counts metrics, sends its security headers, checks the
body's shape, and changes a ticket in one script together with the counters of the status; and
`balanced` answers a write when both replicas have it.

Of a remembered verify under gunicorn, sending the answer and receiving the request take a quarter,
the log line an eighth, metrics a twelfth, HTTP in Python a sixth, and Falcon with the application
the rest.
"""
# What Guarita does in a request of a row, and those ahead of it do not.
WHY: dict[Row, str] = {
    "create": "reads a body and checks it; one script with the status's counters; two log lines",
    "redeem": "the same; and of two at the same moment one is refused, not so by the peers",
    "verify": "logs a line, counts, and names the session for proxies; its script looks for "
    "revocations",
}
HOW = """\
One machine, all servers started side by side, one process each (Go uses every core). Cells are
taken in turn - each server, then the next connections, then the next row, then all again - so
that a disturbance hits all of them; each figure is the median of its rounds. `wrk` makes the load
over loopback. The store is what `guarita local up` starts: a primary, two replicas, three
Sentinels, append-only files on. Processor time is user and system time of all processes of the
server, as the kernel counts it, divided by the requests answered. Ratios are what to look at:
absolute figures belong to the machine. A run may be made in pieces (`--add`): all that a ratio
compares is from one piece.

Guarita runs as `guarita serve` does it, under gunicorn with gevent or, where it says so, under
granian, with one worker, no limit of sessions and otherwise default settings: it logs every
request and every security event, answers with its security headers, and finds the primary through
Sentinel; `balanced` waits until both replicas have a write. Only where sessions are remembered
(`sessions.cache_age_s`) is a verify answered without the store; the other rows have that off. The
peers log nothing, wait for no replica, and connect to the primary directly.
Their sources are in `bench/peers`, each with its versions locked.
"""


def write(results: Results, folder: Path) -> Path:
    """Write report, samples and picture into `folder`; the report's path."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "images" / "performance.svg").write_text(draw(results))
    (folder / SAMPLES).write_text(json.dumps(results.as_json(), indent=1) + "\n")
    path = folder / "performance.md"
    path.write_text("\n".join(_lines(results)).rstrip() + "\n")
    return path


def _lines(results: Results) -> Iterable[str]:
    yield from ("# Performance", "")
    yield "Written by `make bench`, which measures all of this again on your machine."
    yield from ("", "![Processor time per request](images/performance.svg)", "")
    yield from ("## Where Guarita is behind", "")
    yield from (*_losses(results), "")
    yield from ("## Targets", "", *_targets(results), "")
    for row in ROWS:
        yield from (f"## {row.capitalize()}", "", WORK[row], "", *_table(results, row), "")
    yield from ("## Memory", "", *_memory(results), "")
    yield from ("## The store alone", "", *_alone(results), "")
    if results.live:
        yield from ("## With more tickets", "", *_growth(results), "")
    yield from ("## How it was measured", "", HOW)
    yield from _facts(results)


def _losses(results: Results) -> Iterable[str]:
    losses = [*results.lost()]
    if not losses:
        yield "Nowhere: no Python or Node peer is better in any row."
        return
    yield REASONS
    yield from _header("", "figure", "Guarita", "ahead of it", "what Guarita does for it")
    for loss in losses:
        ahead = ", ".join(f"{label} {figure:.0f}" for figure, label in loss.better)
        what = f"{loss.row}, {loss.contestant.label}"
        yield _row(what, loss.what, f"{loss.figure:.0f}", ahead, WHY[loss.row])


def _targets(results: Results) -> Iterable[str]:
    yield from _header("", "target", "measured", "")
    for row in ROWS:
        for entry in results.entries:
            ratio = results.cpu_ratio(entry, row)
            if isinstance(entry.contestant, Guarita) and ratio is not None:
                what = f"{row}, {entry.contestant.label}: processor time, express-session = 1"
                most = _most(entry.contestant, row)
                yield _row(what, f"<= {most}", f"{ratio:.2f}", _verdict(ratio <= most))
    for row in ("create", "redeem"):
        for server, targets in TARGETS.items():
            share = results.rate_ratio(row, server)
            if share is not None:
                what = f"{row}, {server}: requests/s with balanced, fast = 1"
                least = targets.rate
                yield _row(what, f">= {least}", f"{share:.2f}", _verdict(share >= least))
    yield from _targets_alone(results)
    yield from _targets_of_growth(results)


def _targets_alone(results: Results) -> Iterable[str]:
    for behind, figures in results.alone.items():
        for name in ROWS:
            each = figures[name]
            where = f"{name}, the store alone ({behind})"
            rate, p99_ms = each["per_s"], each["p99_ms"]
            least, most = OPERATIONS_TARGET, P99_TARGET_MS
            yield _row(
                f"{where}: operations/s", f">= {least:,}", f"{rate:.0f}", _verdict(rate >= least)
            )
            yield _row(
                f"{where}: p99 ms at {RATE_PER_S:,} a second",
                f"< {most:g}",
                f"{p99_ms:.2f}",
                _verdict(p99_ms < most),
            )


def _targets_of_growth(results: Results) -> Iterable[str]:
    if len(results.live) < 2:
        return
    few, many = results.live[0], results.live[-1]
    for entry in results.entries:
        for row in ROWS:
            before = entry.median(row, BASE_CONNECTIONS, few)
            after = entry.median(row, BASE_CONNECTIONS, many)
            if not (entry.contestant.is_ours and before and after):
                continue
            ratio, most = after.cpu_us / before.cpu_us, 1 + GROWTH_TARGET
            what = f"{row}, {entry.contestant.label}: processor time, {few:,} live tickets = 1"
            yield _row(what, f"<= {most:g}", f"{ratio:.2f}", _verdict(ratio <= most))


def _most(contestant: Guarita, row: Row) -> float:
    targets = TARGETS[contestant.server]
    if row != "verify":
        return targets.change
    return targets.remembered if contestant.remembers else targets.verify


def _table(results: Results, row: Row) -> Iterable[str]:
    if len(results.connections) > 1:
        many = " / ".join(str(each) for each in results.connections)
        yield f"Several figures in a cell: with {many} connections; the others with"
        yield f"{BASE_CONNECTIONS}."
        yield ""
    yield from _header(
        "",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU us/request",
        "express = 1",
        "store CPU us",
        "store commands",
    )
    for entry in results.entries:
        samples = [entry.median(row, each) for each in results.connections]
        base = entry.median(row, BASE_CONNECTIONS)
        ratio = results.cpu_ratio(entry, row)
        if base is None:
            continue
        found = [each for each in samples if each]
        yield _row(
            entry.contestant.label,
            " / ".join(f"{each.per_s:.0f}" for each in found),
            " / ".join(f"{each.p50_ms:.2f}" for each in found),
            " / ".join(f"{each.p99_ms:.2f}" for each in found),
            f"{base.cpu_us:.0f}",
            f"{ratio:.2f}" if ratio is not None else "",
            f"{base.store_cpu_us:.0f}",
            _commands(base.commands),
        )


def _commands(commands: dict[str, float]) -> str:
    """The most frequent first; those inside scripts are among them."""
    often = sorted(commands.items(), key=lambda each: -each[1])
    return ", ".join(f"{n:.2g} {name}" for name, n in often if n >= 0.01)


def _memory(results: Results) -> Iterable[str]:
    yield (
        f"What one more ticket adds to `used_memory`, over {MEMORY_RECORDS:,} of them, each with a "
        "subject."
    )
    yield ""
    yield from _header("", "bytes per ticket")
    for entry in results.entries:
        if entry.bytes_per_ticket is not None:
            yield _row(entry.contestant.label, f"{entry.bytes_per_ticket:.0f}")


def _alone(results: Results) -> Iterable[str]:
    yield (
        f"`fast`, one process without HTTP: {CALLERS} callers one after the other, and "
        f"{RATE_PER_S:,} calls a second, each timed from the moment it was due. Beside it the same "
        f"with {FLOOR} of one byte, which needs no more of server and machine than any call does."
    )
    yield ""
    yield from _header(
        "", "behind it", "operations/s", "CPU us/operation", "p50 ms at the rate", "p99 ms"
    )
    for behind, figures in results.alone.items():
        for name, each in figures.items():
            yield _row(
                name,
                behind,
                f"{each['per_s']:.0f}",
                f"{each['cpu_us']:.0f}",
                f"{each['p50_ms']:.2f}",
                f"{each['p99_ms']:.2f}",
            )


def _growth(results: Results) -> Iterable[str]:
    few, many = results.live[0], results.live[-1]
    yield f"With {many:,} live tickets, where {few:,} are 1; {BASE_CONNECTIONS} connections."
    yield ""
    yield from _header("", *(f"{row}: {what}" for row in ROWS for what in ("requests/s", "CPU")))
    for entry in results.entries:
        if any(cell.live for cell in entry.samples):
            yield _row(entry.contestant.label, *_growth_of(entry, few, many))


def _growth_of(entry: Entry, few: int, many: int) -> Iterable[str]:
    for row in ROWS:
        before = entry.median(row, BASE_CONNECTIONS, few)
        after = entry.median(row, BASE_CONNECTIONS, many)
        yield f"{after.per_s / before.per_s:.2f}" if before and after else ""
        yield f"{after.cpu_us / before.cpu_us:.2f}" if before and after else ""


def _facts(results: Results) -> Iterable[str]:
    yield f"{results.rounds} rounds of {results.seconds} s per cell."
    yield ""
    yield from _header("", "")
    yield from (_row(name, text) for name, text in results.facts.items())
    yield ""
    yield from (f"Not measured: {each}" for each in results.missing)


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "not met"


def _header(*names: str) -> Iterable[str]:
    yield _row(*names)
    yield "|" + "---|" * len(names)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
