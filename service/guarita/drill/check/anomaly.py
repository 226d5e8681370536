"""What must never be in a history."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from guarita.drill.history import Operation


class AnomalyKind(StrEnum):
    """What is wrong. Those of tickets contradict every life that the ticket can have had."""

    DOUBLE = "admitted twice"
    LOST = "acknowledged ticket gone"
    UNDONE = "admission undone"
    BASELESS = "refused without a rival"
    RAISED = "good after its end"
    TWO_RESULTS = "one attempt, two results"
    COUNTER = "counter wrong"
    STRANGE = "strange answer"
    BACKWARDS = "offset went back"
    UNSETTLED = "not well again"

    @property
    def loses(self) -> bool:
        """Whether an acknowledged ticket or admission was not there any more."""
        return self in _LOSSES


_LOSSES = {AnomalyKind.LOST, AnomalyKind.UNDONE, AnomalyKind.BASELESS}


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One contradiction, and the operations that show it."""

    kind: AnomalyKind
    words: str
    at_us: int
    ticket: str | None = None
    operations: tuple[Operation, ...] = ()
