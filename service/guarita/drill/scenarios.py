"""The scenarios, as a table of data; `guarita.drill.own` reads more of them from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from guarita.drill.faults.base import Fault
from guarita.drill.faults.stops import Kill, Terminate
from guarita.drill.targets.base import Shape

DOWN_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played, and what it may cost. Nothing lost and nothing double, always."""

    id: str
    title: str
    must_hold: str
    faults: tuple[Fault, ...]
    pause_s: float | None = None  # at most, without a successful write; None: no bound
    failed: int | None = 0  # requests at most; None: no bound
    at_most: Mapping[str, float] = field(default_factory=dict)  # of what its faults measure
    durabilities: tuple[str, ...] = ("balanced", "strict")
    shape: Shape = Shape()
    control: str | None = None  # a negative control, and why it must come out invalid
    fresh: bool = False  # leaves an installation that no other scenario can use
    reported_as: str = ""
    """Where others met it in public."""


SCENARIOS: dict[str, Scenario] = {
    each.id: each
    for each in (
        Scenario(
            "D1",
            "SIGTERM to the primary",
            "nothing lost, no request fails, writes pause for a second at most",
            (Terminate(),),
            pause_s=1.0,
        ),
        Scenario(
            "D2",
            "kill -9 the primary, started at once with its data",
            "nothing lost",
            (Kill(),),
            pause_s=3.5,
        ),
    )
}
