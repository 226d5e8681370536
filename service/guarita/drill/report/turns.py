"""The faults of a drill that plays many: a bar and a line for each, and a sum for each scenario."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape

from guarita.drill.check.turns import Played
from guarita.drill.history import Turn
from guarita.drill.report.words import seconds

WIDTH, HEIGHT = 1000, 100
LEAST_WIDE = 2.0


def bars(turns: Sequence[Played], end_us: int) -> str:
    """How long writes paused at each, where it was; red where a bound was missed."""
    most = longest_s(turns)
    wide = max(LEAST_WIDE, WIDTH / len(turns) / 3)
    shapes = []
    for each in turns:
        kind = "fill-writes" if each.is_good else "fill-failed"
        left = each.turn.from_us / end_us * WIDTH
        high = each.pause_s / most * (HEIGHT - 2)
        shapes.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{HEIGHT - high:.1f}" width="{wide:.1f}" '
            f'height="{high:.1f}"/>'
        )
    return "".join(shapes)


def longest_s(turns: Sequence[Played]) -> float:
    return max(0.1, *(each.pause_s for each in turns))


def table(turns: Sequence[Played]) -> str:
    """What each scenario took, and below it, folded up, each fault."""
    if not turns:
        return ""
    return f"<h2>Faults</h2>{_by_scenario(turns)}{_each(turns)}"


def _by_scenario(turns: Sequence[Played]) -> str:
    groups: dict[str, list[Played]] = defaultdict(list)
    for each in turns:
        groups[each.turn.scenario].append(each)
    rows = [
        f"<tr><td>{escape(scenario)}</td><td>{escape(group[0].turn.title)}</td>"
        f'<td class="number">{len(group)}</td>{_pauses(group)}'
        f'<td class="number">{_bound(group[0].turn)}</td>'
        f'<td class="number">{sum(each.failed for each in group):,}</td>'
        f'<td class="number">{sum(not each.is_good for each in group)}</td></tr>'
        for scenario, group in sorted(groups.items())
    ]
    names = (
        "",
        "what happened",
        "faults",
        "median",
        "95 %",
        "longest",
        "at most",
        "failed",
        "missed",
    )
    head = "".join(f"<th{_right(at)}>{name}</th>" for at, name in enumerate(names))
    words = "Seconds without a successful write; requests failed; faults whose bounds were missed."
    return (
        f'<p class="quiet">{words}</p>'
        f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
    )


def _right(at: int) -> str:
    return " class=number" if at > 1 else ""


def _pauses(group: Sequence[Played]) -> str:
    pauses = sorted(each.pause_s for each in group)
    shown = (pauses[len(pauses) // 2], pauses[min(len(pauses) - 1, int(0.95 * len(pauses)))])
    return "".join(f'<td class="number">{each:.2f}</td>' for each in (*shown, pauses[-1]))


def _bound(turn: Turn) -> str:
    return "" if turn.pause_at_most_s is None else f"{turn.pause_at_most_s:g}"


def _each(turns: Sequence[Played]) -> str:
    rows = "".join(
        f"<tr{'' if each.is_good else ' class=bad'}><td>{each.turn.number}</td>"
        f"<td>{seconds(each.turn.from_us)}</td><td>{escape(each.turn.scenario)}</td>"
        f"<td>{escape(each.node or '')}</td><td>{each.pause_s:.2f}</td><td>{each.failed}</td></tr>"
        for each in turns
    )
    names = ("no.", "when", "scenario", "node", "s without a write", "failed")
    head = "".join(f"<th>{name}</th>" for name in names)
    return (
        f"<details><summary>All {len(turns)} faults</summary>"
        f'<div class="wide"><table class="turns"><tr>{head}</tr>{rows}</table></div></details>'
    )
