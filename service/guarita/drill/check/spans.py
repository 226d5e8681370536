"""When the parts of a drill were: from its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from guarita.drill.history import Event, EventKind, Phase

LEAST_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Spans:
    """Moments in microseconds; the load began at 0."""

    fault_us: int | None  # the first
    heal_us: int | None  # the last, after the last fault
    well_us: int | None  # the first time since then that all was well
    drain_us: int
    look_us: int
    end_us: int

    @property
    def over_us(self) -> int | None:
        """Until when the fault lasted: what is done in an instant has its effect after it."""
        if self.fault_us is None or self.heal_us is None:
            return None
        return max(self.heal_us, self.fault_us + LEAST_US)


def spans_of(events: Iterable[Event]) -> Spans:
    """The parts of the drill, as far as they were."""
    events = sorted(events, key=lambda event: event.at_us)
    phases = {each.text: each.at_us for each in events if each.kind is EventKind.PHASE}
    faults = [each.at_us for each in events if each.kind is EventKind.FAULT]
    heals = [each.at_us for each in events if each.kind is EventKind.HEAL]
    heal_us = heals[-1] if heals and faults and heals[-1] >= faults[-1] else None
    well_us = next(
        (
            each.at_us
            for each in events
            if each.kind is EventKind.HEALTH
            and not each.text
            and heal_us is not None
            and each.at_us >= heal_us
        ),
        None,
    )
    last_us = events[-1].at_us if events else 0
    drain_us, look_us, end_us = (
        phases.get(phase, last_us) for phase in (Phase.DRAIN, Phase.LOOK, Phase.END)
    )
    return Spans(faults[0] if faults else None, heal_us, well_us, drain_us, look_us, end_us)
