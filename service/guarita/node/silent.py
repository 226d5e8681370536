"""Which replicas a primary cuts off: those that are attached and have said nothing for 2 s.

An attached replica must have every write, so a frozen one holds all of them until it is detached;
the server itself does that after `repl-timeout` (60 s). One that is well comes back by itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from guarita.node.own import Own
from guarita.stores.durability import Address

SILENT_S = 2.0
STOOD_STILL_S = 0.5  # between two looks: the first one after it says nothing yet
LATE_S = 0.1  # the server counts `lag` with a coarser clock, whose seconds begin later


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    second: int
    offset: int

    def is_news_after(self, known: _Acknowledged) -> bool:
        """Right after a second began it may be one too low; lower still, the clock was set back."""
        return self.offset != known.offset or not known.second - 1 <= self.second <= known.second


class Silence:
    """Since when each replica says nothing, as one look after another at the server shows it.

    A replica acknowledges once a second, and at each `WAIT`. The server tells when that was in
    whole seconds of its clock, which one look takes for up to a second; that it changes, looks see.
    """

    def __init__(self) -> None:
        self._since: dict[tuple[Address, int], tuple[_Acknowledged, float]] = {}
        """By link (a replica may have an old one that broke unnoticed): what it last acknowledged,
        and when a look first found that."""

    def look(self, own: Own) -> frozenset[Address]:
        """Those of which nothing has been seen for `SILENT_S`."""
        links: Counter[Address] = Counter()
        since = {}
        for each in own.replicas:
            link = each.node, links[each.node]
            links[each.node] += 1
            if not each.online:
                continue
            acknowledged = _Acknowledged(int(own.clock_s - LATE_S) - each.lag_s, each.offset)
            known = self._since.get(link)
            if known is None or acknowledged.is_news_after(known[0]):
                known = acknowledged, own.seen_s
            since[link] = known
        self._since = since
        return frozenset(
            node for (node, _), (_, at_s) in since.items() if own.asked_s - at_s >= SILENT_S
        )
