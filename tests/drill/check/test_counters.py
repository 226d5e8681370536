"""What counters may say while a primary is being replaced."""

from __future__ import annotations

from guarita.drill.check.counters import counter_anomalies
from guarita.drill.history import Answer, Kind, Operation, Outcome


def redeem(id: int, attempt: str, started_us: int, ended_us: int, answer: Answer) -> Operation:
    return Operation(
        id, "page", Kind.REDEEM, started_us, Outcome.OK, answer, ended_us, "t0", attempt
    )


def status(id: int, at_us: int, used: int) -> Operation:
    return Operation(
        id,
        "status",
        Kind.STATUS,
        at_us,
        Outcome.OK,
        Answer.COUNTED,
        at_us + 1,
        total_created=0,
        total_used=used,
    )


def test_an_old_primary_may_count_who_is_refused_by_the_next_one() -> None:
    # Attempt a is admitted by the primary that is being replaced and never acknowledged; its
    # service asks the next primary, where b, which began later, was admitted first.
    tickets = {
        "t0": [
            redeem(1, "a", 100, 900, Answer.REFUSED),
            redeem(2, "b", 500, 600, Answer.ADMITTED),
        ]
    }
    told = [status(3, 10, 0), status(4, 300, 1), status(5, 950, 1)]
    assert counter_anomalies(told, tickets, alone=True) == []


def test_what_nobody_has_begun_cannot_be_counted() -> None:
    tickets = {"t0": [redeem(1, "a", 500, 600, Answer.ADMITTED)]}
    told = [status(3, 10, 0), status(4, 300, 1)]
    assert len(counter_anomalies(told, tickets, alone=True)) == 1
