"""A ticket is judged right exactly when some life of it explains all answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guarita.drill.check.anomaly import AnomalyKind
from guarita.drill.check.tickets import Terms, judge
from guarita.drill.history import Answer, Kind, Operation, Outcome

LAST = 14
LONG = Terms(ticket_us=1000, session_us=1000, replay_us=1000, verify_age_us=0, slack_us=0)


def asked(
    kind: Kind,
    answer: Answer,
    started: int,
    ended: int | None,
    attempt: str | None = None,
    retries: int = 0,
    token: str | None = None,
) -> Operation:
    unknown = answer in (Answer.NO_ANSWER, Answer.IN_DOUBT)
    outcome = Outcome.UNKNOWN if unknown else Outcome.OK
    if answer is Answer.UNAVAILABLE:
        outcome = Outcome.FAIL
    return Operation(
        0, "c", kind, started, outcome, answer, ended, "t", attempt, retries=retries, token=token
    )


def created(started: int = 0, ended: int = 1) -> Operation:
    return asked(Kind.CREATE, Answer.CREATED, started, ended)


def admitted(attempt: str, started: int, ended: int, token: str | None = None) -> Operation:
    return asked(Kind.REDEEM, Answer.ADMITTED, started, ended, attempt, token=token)


def refused(attempt: str, started: int, ended: int, retries: int = 0) -> Operation:
    return asked(Kind.REDEEM, Answer.REFUSED, started, ended, attempt, retries)


def perhaps(attempt: str, started: int) -> Operation:
    return asked(Kind.REDEEM, Answer.NO_ANSWER, started, None, attempt)


def live(attempt: str, started: int, ended: int) -> Operation:
    return asked(Kind.VERIFY, Answer.LIVE, started, ended, attempt)


def denied(attempt: str, started: int, ended: int) -> Operation:
    return asked(Kind.VERIFY, Answer.REFUSED, started, ended, attempt)


def revoked(started: int, ended: int) -> Operation:
    return asked(Kind.REVOKE, Answer.REVOKED, started, ended)


def perhaps_revoked(started: int) -> Operation:
    return asked(Kind.REVOKE, Answer.NO_ANSWER, started, None)


# The oracle: tries every life at every moment.


def _can_explain(operations: Sequence[Operation], terms: Terms) -> bool:
    create = operations[0]
    redeems = [each for each in operations if each.kind is Kind.REDEEM]
    revokes = [each for each in operations if each.kind is Kind.REVOKE]
    made = range(create.started_us, (create.ended_us or 0) + 1)
    admissions: list[tuple[str | None, int | None]] = [(None, None)]
    for each in redeems:
        refusal = each.answer is Answer.REFUSED
        if each.outcome is not Outcome.FAIL and (each.retries or not refusal):
            admissions += [(each.attempt, at) for at in _moments(each)]
    ends = [None, *(at for each in revokes for at in _moments(each))]
    return any(
        _is_life(c, m, r, revokes, terms)
        and all(_explains(c, w, m, r, each, terms) for each in operations[1:])
        for c, (w, m), r in product(made, admissions, ends)
    )


def _moments(operation: Operation) -> range:
    unknown = operation.outcome is Outcome.UNKNOWN
    last = LAST if unknown or operation.ended_us is None else operation.ended_us
    return range(operation.started_us, last + 1)


def _is_life(
    c: int, m: int | None, r: int | None, revokes: Sequence[Operation], terms: Terms
) -> bool:
    sure = [each.ended_us for each in revokes if each.outcome is Outcome.OK]
    if any(r is None or r > (end or 0) for end in sure):
        return False
    if m is None:
        return True
    return (r is None or m <= r) and c <= m <= c + terms.ticket_us + terms.slack_us


def _explains(
    c: int, w: str | None, m: int | None, r: int | None, each: Operation, terms: Terms
) -> bool:
    if each.outcome is not Outcome.OK or each.kind is Kind.REVOKE:
        return True
    return any(_answers(t, c, w, m, r, each, terms) for t in _moments(each))


def _answers(
    t: int, c: int, w: str | None, m: int | None, r: int | None, each: Operation, terms: Terms
) -> bool:
    age = terms.verify_age_us if each.kind is Kind.VERIFY else 0
    good = terms.session_us if each.kind is Kind.VERIFY else min(terms.replay_us, terms.session_us)
    if each.answer is not Answer.REFUSED:
        return (
            w == each.attempt
            and m is not None
            and m <= t
            and (r is None or t - age <= r)
            and t - age <= m + good + terms.slack_us
        )
    if r is not None and t >= r:
        return True
    if each.attempt == w:
        return m is not None and t >= m + good - terms.slack_us
    if each.kind is Kind.VERIFY:
        return False
    return (m is not None and t >= m) or t >= c + terms.ticket_us - terms.slack_us


@st.composite
def spans(draw: st.DrawFn, first: int) -> tuple[int, int]:
    started = draw(st.integers(first, LAST - 1))
    return started, draw(st.integers(started + 1, LAST))


@st.composite
def tickets(draw: st.DrawFn) -> list[Operation]:
    create = created(*draw(st.sampled_from([(0, 1), (0, 3)])))
    operations = [create]
    for _ in range(draw(st.integers(1, 5))):
        started, ended = draw(spans(create.ended_us or 0))
        attempt = draw(st.sampled_from("ab"))
        operations.append(
            draw(
                st.sampled_from(
                    [
                        admitted(attempt, started, ended),
                        refused(attempt, started, ended),
                        refused(attempt, started, ended, retries=1),
                        perhaps(attempt, started),
                        asked(Kind.REDEEM, Answer.IN_DOUBT, started, ended, attempt),
                        live(attempt, started, ended),
                        denied(attempt, started, ended),
                        revoked(started, ended),
                        perhaps_revoked(started),
                        asked(Kind.REDEEM, Answer.UNAVAILABLE, started, ended, attempt),
                    ]
                )
            )
        )
    return [each for each in operations if each.kind is not Kind.VERIFY or _given(each, operations)]


def _given(verify: Operation, operations: Sequence[Operation]) -> bool:
    return any(
        each.answer is Answer.ADMITTED
        and each.attempt == verify.attempt
        and (each.ended_us or 0) <= verify.started_us
        for each in operations
    )


all_terms = st.builds(
    Terms,
    ticket_us=st.sampled_from([3, 6, 100]),
    session_us=st.sampled_from([3, 100]),
    replay_us=st.sampled_from([2, 4, 100]),
    verify_age_us=st.integers(0, 1),
    slack_us=st.integers(0, 1),
)


@given(tickets(), all_terms)
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_ticket_is_wrong_exactly_when_no_life_explains_it(
    operations: list[Operation], terms: Terms
) -> None:
    found = judge("t", operations, terms)
    assert (not found) == _can_explain(operations, terms), "\n".join(map(_words, operations))


def _words(each: Operation) -> str:
    return (
        f"{each.kind} {each.attempt} {each.answer} {each.started_us}-{each.ended_us} {each.retries}"
    )


@given(tickets(), all_terms, st.randoms())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_order_of_the_lines_does_not_matter(
    operations: list[Operation], terms: Terms, random: st.DataObject
) -> None:
    shuffled = list(operations)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    kinds = {each.kind for each in judge("t", operations, terms)}
    assert {each.kind for each in judge("t", shuffled, terms)} == kinds


# What each contradiction is called.

CREATED = created()
A = admitted("a", 2, 4)


@pytest.mark.parametrize(
    ("kind", "operations"),
    [
        (AnomalyKind.DOUBLE, [A, admitted("b", 6, 7)]),
        (AnomalyKind.DOUBLE, [A, admitted("b", 2, 4)]),
        (AnomalyKind.LOST, [refused("a", 2, 4)]),
        (AnomalyKind.LOST, [refused("a", 2, 4), perhaps("b", 5)]),
        (AnomalyKind.LOST, [refused("a", 2, 4), refused("b", 3, 6)]),
        (AnomalyKind.LOST, [refused("a", 2, 4), perhaps("a", 2)]),
        (AnomalyKind.UNDONE, [A, refused("a", 6, 7)]),
        (AnomalyKind.UNDONE, [A, denied("a", 6, 7)]),
        (AnomalyKind.BASELESS, [refused("b", 2, 4), admitted("a", 6, 7)]),
        (AnomalyKind.RAISED, [A, revoked(5, 6), live("a", 7, 8)]),
        (AnomalyKind.RAISED, [revoked(2, 3), admitted("a", 4, 5)]),
        (AnomalyKind.RAISED, [A, live("a", 3000, 3001)]),
        (AnomalyKind.RAISED, [admitted("a", 2000, 2001)]),
        (AnomalyKind.TWO_RESULTS, [admitted("a", 2, 3, "x"), admitted("a", 4, 5, "y")]),
    ],
)
def test_a_contradiction_has_its_name(kind: AnomalyKind, operations: list[Operation]) -> None:
    found = judge("t", [CREATED, *operations], LONG)
    assert {each.kind for each in found} == {kind}
    assert all(each.operations for each in found)


@pytest.mark.parametrize(
    "operations",
    [
        [A, refused("b", 3, 5), refused("c", 6, 7), admitted("a", 8, 9), live("a", 9, 10)],
        [refused("b", 3, 5), perhaps("a", 5)],  # it was asked when b had not been answered yet
        [refused("b", 3, 5), refused("a", 3, 5), perhaps("c", 2)],
        [A, live("a", 5, 6), revoked(7, 8), denied("a", 9, 10), refused("a", 9, 10)],
        [A, perhaps_revoked(5), live("a", 6, 7), denied("a", 8, 9)],
        [  # What is in doubt may have been applied long after its answer.
            asked(Kind.REDEEM, Answer.IN_DOUBT, 1, 2, "a"),
            refused("b", 600, 700),
            admitted("a", 900, 901),
            live("a", 1650, 1651),
        ],
        [A, refused("a", 1500, 1501), denied("a", 1500, 1501)],
        [refused("a", 1500, 1501)],  # expired
        [admitted("a", 2, 3, "x"), admitted("a", 4, 5, "x")],
    ],
)
def test_what_some_life_explains_is_right(operations: list[Operation]) -> None:
    assert judge("t", [CREATED, *operations], LONG) == []


def test_a_rival_who_comes_too_late_ends_the_session_where_that_is_set() -> None:
    strict = replace(LONG, revoke_on_replay=True)
    ended = [A, refused("b", 6, 7), denied("a", 8, 9), refused("a", 8, 9)]
    assert judge("t", [CREATED, *ended], strict) == []
    assert judge("t", [CREATED, *ended], LONG)
    # Who came before, or not at all, has ended nothing.
    assert judge("t", [CREATED, refused("b", 1, 1), A, denied("a", 8, 9)], strict)
    assert judge("t", [CREATED, A, denied("a", 8, 9)], strict)
    assert judge("t", [CREATED, A, denied("a", 4, 5), refused("b", 6, 7)], strict)


def test_a_ticket_that_was_not_acknowledged_proves_nothing() -> None:
    lost = asked(Kind.CREATE, Answer.NO_ANSWER, 0, None)
    assert judge("t", [lost], LONG) == []


def test_clocks_of_servers_may_differ_by_the_slack() -> None:
    terms = Terms(ticket_us=100, session_us=100, replay_us=10, verify_age_us=0, slack_us=3)
    early, late = [A, refused("a", 9, 9)], [A, admitted("a", 17, 18)]
    assert judge("t", [CREATED, *early], terms) == []
    assert judge("t", [CREATED, *late], terms) == []
    assert judge("t", [CREATED, A, refused("a", 8, 8)], terms)
    assert judge("t", [CREATED, A, admitted("a", 18, 19)], terms)
