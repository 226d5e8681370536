"""What the Sentinels say, as the decisions of the agent read it. Nothing is asked here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from guarita.stores.durability import VOTERS, Address, Reading


@dataclass(frozen=True, slots=True)
class Words:
    """The answers to one asking of all Sentinels; those that did not answer are missing."""

    sentinels: int
    """How many there are in all, by the configuration."""
    readings: tuple[Reading, ...] = ()
    asked_s: float = 0.0
    """When they were asked, in seconds of the monotonic clock."""

    @property
    def majority(self) -> int:
        return self.sentinels // 2 + 1

    @property
    def named(self) -> Address | None:
        """The primary that a majority of all Sentinels names."""
        votes = Counter(each.primary for each in self.readings)
        return next((who for who, count in votes.items() if count >= self.majority), None)

    @property
    def failover(self) -> bool:
        """Whether any Sentinel that answered replaces the primary just now."""
        return any(each.failover for each in self.readings)

    def may_replace(self, primary: Address) -> bool:
        """Whether any Sentinel that answered is in a failover whose end is not this primary."""
        return any(each.failover and each.chosen != primary for each in self.readings)

    @property
    def chosen(self) -> frozenset[Address]:
        """Whom a Sentinel is about to promote."""
        return frozenset(each.chosen for each in self.readings if each.chosen)

    def agrees_down(self, node: Address) -> bool:
        """Whether every Sentinel that answered, two at least, reports this replica down."""
        return len(self.readings) >= VOTERS and all(node in each.down for each in self.readings)
