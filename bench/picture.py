"""The picture of a run: processor time per request as bars, a group for each row."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from bench.contestants import ROWS, Row
from bench.results import BASE_CONNECTIONS, Results

WIDTH, NAME_WIDTH, BAR_WIDTH = 800, 280, 420
BAR, GAP, TITLE = 18, 6, 34
COLOURS = {"ours": "#0b7285", "peer": "#adb5bd", "floor": "#dee2e6"}


def draw(results: Results) -> str:
    """The picture as SVG."""
    groups, height = [], 44
    for row in ROWS:
        groups += _group(results, row, height)
        bars = sum(each.median(row, BASE_CONNECTIONS) is not None for each in results.entries)
        height += TITLE + bars * (BAR + GAP) + GAP
    title = f"Processor time per request, {BASE_CONNECTIONS} connections (shorter is better)"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="system-ui, sans-serif" font-size="13" role="img">',
            f"<title>{title}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="12" y="26" font-size="16" font-weight="600">{title}</text>',
            *groups,
            "</svg>\n",
        ]
    )


def _group(results: Results, row: Row, top: int) -> Iterator[str]:
    found = [
        (entry.contestant, sample.cpu_us)
        for entry in results.entries
        if (sample := entry.median(row, BASE_CONNECTIONS))
    ]
    longest = max((us for _, us in found), default=1.0)
    yield f'<text x="12" y="{top + 20}" font-weight="600">{row}</text>'
    for number, (contestant, us) in enumerate(found):
        y = top + TITLE + number * (BAR + GAP)
        kind = "ours" if contestant.is_ours else "floor" if contestant.is_floor else "peer"
        width = BAR_WIDTH * us / longest
        label = escape(contestant.label)
        yield f'<text x="{NAME_WIDTH}" y="{y + 13}" text-anchor="end">{label}</text>'
        yield (
            f'<rect x="{NAME_WIDTH + 10}" y="{y}" width="{width:.1f}" height="{BAR}" '
            f'fill="{COLOURS[kind]}"/>'
        )
        yield f'<text x="{NAME_WIDTH + 16 + width:.1f}" y="{y + 13}">{us:.0f} µs</text>'
