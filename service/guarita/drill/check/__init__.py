"""What a history shows: pure functions of it. Imports nothing of Guarita but `drill.history`."""

from guarita.drill.check.anomaly import Anomaly, AnomalyKind
from guarita.drill.check.figures import Figures
from guarita.drill.check.spans import Spans
from guarita.drill.check.verdict import Judgement, Verdict, check

__all__ = ["Anomaly", "AnomalyKind", "Figures", "Judgement", "Spans", "Verdict", "check"]
