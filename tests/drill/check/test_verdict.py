"""A history of an installation that kept its promise is valid; spoilt in one place, it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from guarita.drill.check import AnomalyKind, Verdict, check
from guarita.drill.check.assumptions import _was_seen
from guarita.drill.history import (
    Answer,
    Event,
    EventKind,
    Header,
    History,
    Kind,
    Measured,
    Operation,
    Outcome,
    Phase,
    Role,
)

from ..making import DRAIN_US, END_US, HEADER, HEAL_US, LOOK_US, SECOND_US, changed, histories

Spoil = Callable[[History], Iterator[History]]  # one history for each place

thorough = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def one_of(spoilt: Iterable[History], data: st.DataObject) -> History:
    """Spoilt in any one of the places where it can be."""
    choices = list(spoilt)
    assume(choices)
    return choices[data.draw(st.integers(0, len(choices) - 1))]


@given(histories())
@settings(thorough, max_examples=100)
def test_who_keeps_the_promise_is_valid(history: History) -> None:
    judgement = check(history)
    assert judgement.anomalies == ()
    assert judgement.unmet == ()
    assert judgement.verdict is Verdict.VALID
    assert judgement.figures.lost == judgement.figures.double == 0


def _redeems(history: History, answer: Answer) -> Iterator[Operation]:
    for each in history.operations:
        if each.kind is Kind.REDEEM and each.answer is answer:
            yield each


def admit_a_loser(history: History) -> Iterator[History]:
    admitted = {each.ticket for each in _redeems(history, Answer.ADMITTED)}
    for each in _redeems(history, Answer.REFUSED):
        if each.ticket in admitted:
            yield changed(history, each, answer=Answer.ADMITTED)


def refuse_a_repeat(history: History) -> Iterator[History]:
    for each in _redeems(history, Answer.ADMITTED):
        if each.started_us >= LOOK_US and each.attempt != "stranger":
            yield changed(history, each, answer=Answer.REFUSED)


def refuse_a_session(history: History) -> Iterator[History]:
    for each in history.operations:
        if each.answer is Answer.LIVE:
            yield changed(history, each, answer=Answer.REFUSED)


def refuse_the_only_one(history: History) -> Iterator[History]:
    for each in _redeems(history, Answer.ADMITTED):
        others = [o for o in history.operations if o.ticket == each.ticket and o is not each]
        perhaps = any(o.kind is Kind.REDEEM and o.outcome is Outcome.UNKNOWN for o in others)
        if not perhaps and not any(o.answer in (Answer.ADMITTED, Answer.LIVE) for o in others):
            yield changed(history, each, answer=Answer.REFUSED)


def give_another_token(history: History) -> Iterator[History]:
    for each in _redeems(history, Answer.ADMITTED):
        if each.started_us >= LOOK_US and each.attempt != "stranger":
            yield changed(history, each, token="another")


def count_one_less(history: History) -> Iterator[History]:
    last = max(_counts(history), key=lambda each: each.started_us)
    assert last.total_created is not None
    assert last.total_used is not None
    yield changed(history, last, total_created=last.total_created - 1)
    yield changed(history, last, total_used=last.total_used - 1)


def count_one_more(history: History) -> Iterator[History]:
    for each in _counts(history):
        assert each.total_created is not None
        from_us, to_us = each.started_us, each.started_us + 1000
        if not any(o.started_us <= to_us and from_us < _end(o) for o in _creates(history)):
            yield changed(history, each, total_created=each.total_created + 1)


def answer_strangely(history: History) -> Iterator[History]:
    for each in history.operations:
        if each.started_us >= LOOK_US:
            strange = {"answer": Answer.STRANGE, "outcome": Outcome.UNKNOWN, "status": 500}
            yield changed(history, each, **strange)


def take_an_offset_back(history: History) -> Iterator[History]:
    named = [each for each in history.samples if each.role is Role.PRIMARY]
    for earlier, later in pairwise(named):
        if earlier.node == later.node and earlier.offset:
            worse = replace(later, offset=earlier.offset - 1)
            samples = tuple(worse if each is later else each for each in history.samples)
            yield replace(history, samples=samples)


def never_be_well(history: History) -> Iterator[History]:
    late = END_US + 60 * SECOND_US
    events = [e for e in history.events if e.kind is not EventKind.HEALTH and e.text != Phase.END]
    ends = Event(late, EventKind.PHASE, Phase.END)
    unwell = Event(late - 1, EventKind.HEALTH, "n1 has no replica")
    yield replace(history, events=(*events, unwell, ends))
    well = Event(late - 1, EventKind.HEALTH, "")
    yield replace(history, events=(*events, well, ends))


def _counts(history: History) -> Iterator[Operation]:
    return (each for each in history.operations if each.kind is Kind.STATUS)


def _creates(history: History) -> Iterator[Operation]:
    return (each for each in history.operations if each.kind is Kind.CREATE)


def _end(operation: Operation) -> int:
    assert operation.ended_us is not None
    return operation.ended_us


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        (admit_a_loser, {AnomalyKind.DOUBLE}),
        (refuse_a_repeat, {AnomalyKind.UNDONE}),
        (refuse_a_session, {AnomalyKind.UNDONE}),
        (refuse_the_only_one, {AnomalyKind.LOST, AnomalyKind.COUNTER}),
        (give_another_token, {AnomalyKind.TWO_RESULTS}),
        (count_one_less, {AnomalyKind.COUNTER}),
        (count_one_more, {AnomalyKind.COUNTER}),
        (answer_strangely, {AnomalyKind.STRANGE}),
        (take_an_offset_back, {AnomalyKind.BACKWARDS}),
        (never_be_well, {AnomalyKind.UNSETTLED}),
    ],
)
@given(history=histories(), data=st.data())
@thorough
def test_one_wrong_answer_is_found(
    spoil: Spoil, kinds: set[AnomalyKind], history: History, data: st.DataObject
) -> None:
    judgement = check(one_of(spoil(history), data))
    assert judgement.verdict is Verdict.INVALID
    assert {each.kind for each in judgement.anomalies} & kinds


@given(history=histories(), data=st.data())
@thorough
def test_without_sentinels_no_primary_may_go_back_either(
    history: History, data: st.DataObject
) -> None:
    alone = replace(history, header=replace(history.header, sentinels=()))
    assert check(alone).verdict is Verdict.VALID
    judgement = check(one_of(take_an_offset_back(alone), data))
    assert {each.kind for each in judgement.anomalies} == {AnomalyKind.BACKWARDS}


# What makes a history worthless.


def repeat_a_number(history: History) -> Iterator[History]:
    first, last = history.operations[0], history.operations[-1]
    yield changed(history, last, id=first.id)


def end_before_the_begin(history: History) -> Iterator[History]:
    for each in history.operations:
        if each.started_us:
            yield changed(history, each, ended_us=each.started_us - 1)


def create_twice(history: History) -> Iterator[History]:
    for each in _creates(history):
        again = replace(each, id=999_999)
        yield replace(history, operations=(*history.operations, again))


def never_create(history: History) -> Iterator[History]:
    for create in _creates(history):
        yield _without(history, lambda each, create=create: each is create)


def ask_too_early(history: History) -> Iterator[History]:
    for each in history.operations:
        if each.started_us >= LOOK_US and each.kind is Kind.REDEEM:
            yield changed(history, each, started_us=0)


def make_up_a_token(history: History) -> Iterator[History]:
    for each in history.operations:
        if each.answer is Answer.LIVE:
            yield changed(history, each, attempt="nobody's")


def lose_a_phase(history: History) -> Iterator[History]:
    for each in history.events:
        if each.kind is EventKind.PHASE:
            yield _without_events(history, lambda event, each=each: event is each)


def swap_phases(history: History) -> Iterator[History]:
    swapped = {Phase.DRAIN.value: LOOK_US + 1}
    events = (replace(each, at_us=swapped.get(each.text, each.at_us)) for each in history.events)
    yield replace(history, events=tuple(events))


def break_nothing(history: History) -> Iterator[History]:
    yield _without_events(history, lambda event: event.kind is EventKind.FAULT)


def heal_nothing(history: History) -> Iterator[History]:
    yield _without_events(history, lambda event: event.kind is EventKind.HEAL)


def look_at_no_health(history: History) -> Iterator[History]:
    yield _without_events(history, lambda event: event.kind is EventKind.HEALTH)


def look_at_no_ticket(history: History) -> Iterator[History]:
    admitted = [each for each in _redeems(history, Answer.ADMITTED) if each.ticket == "t0"]
    if any(each.started_us < HEAL_US for each in admitted):  # else the counters tell of one more
        yield _without(history, lambda each: each.ticket == "t0" and each.started_us >= HEAL_US)


def count_nothing(history: History) -> Iterator[History]:
    yield _without(history, lambda each: each.kind is Kind.STATUS)


def be_ill_before(history: History) -> Iterator[History]:
    ill = Event(1, EventKind.HEALTH, "node-2 is dead")
    yield replace(history, events=(*history.events, ill))


def be_ill_in_the_end(history: History) -> Iterator[History]:
    """Also when it was well meanwhile."""
    ill = Event(DRAIN_US - 1, EventKind.HEALTH, "node-2 is dead")
    yield replace(history, events=(*history.events, ill))
    yield replace(
        history, events=(*(e for e in history.events if e.kind is not EventKind.HEALTH), ill)
    )


def leave_the_fault(history: History) -> Iterator[History]:
    left = Event(HEAL_US, EventKind.UNHEALED, "command could not be healed: it ended with 1")
    yield replace(history, events=(*history.events, left))


def sample_all_but_one(history: History) -> Iterator[History]:
    for name in (*history.header.nodes, *history.header.sentinels):
        kept = tuple(each for each in history.samples if each.node != name)
        yield replace(history, samples=kept)


def count_only_before_or_after(history: History) -> Iterator[History]:
    for is_early in (True, False):
        yield _without(
            history,
            lambda each, is_early=is_early: (
                each.kind is Kind.STATUS and (each.started_us < HEAL_US) is not is_early
            ),
        )


def sample_nobody(history: History) -> Iterator[History]:
    if history.samples:
        yield replace(history, samples=())


def load_only_before(history: History) -> Iterator[History]:
    yield _without(history, lambda each: HEAL_US <= each.started_us < LOOK_US)


def load_only_after(history: History) -> Iterator[History]:
    early = {each.ticket for each in _creates(history) if each.started_us < HEAL_US}
    early.add(None)  # the counters, which would tell
    yield _without(history, lambda each: each.ticket in early)


def load_little(history: History) -> Iterator[History]:
    yield replace(history, header=replace(history.header, rate=1000.0))


def _without(history: History, out: Callable[[Operation], bool]) -> History:
    kept = tuple(each for each in history.operations if not out(each))
    return replace(history, operations=kept)


def _without_events(history: History, out: Callable[[Event], bool]) -> History:
    return replace(history, events=tuple(each for each in history.events if not out(each)))


@pytest.mark.parametrize(
    "spoil",
    [
        repeat_a_number,
        end_before_the_begin,
        create_twice,
        never_create,
        ask_too_early,
        make_up_a_token,
        lose_a_phase,
        swap_phases,
        break_nothing,
        heal_nothing,
        look_at_no_health,
        look_at_no_ticket,
        count_nothing,
        count_only_before_or_after,
        be_ill_before,
        be_ill_in_the_end,
        leave_the_fault,
        sample_nobody,
        sample_all_but_one,
        load_only_before,
        load_only_after,
        load_little,
    ],
)
@given(history=histories(), data=st.data())
@thorough
def test_what_proves_nothing_is_unknown(
    spoil: Spoil, history: History, data: st.DataObject
) -> None:
    judgement = check(one_of(spoil(history), data))
    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.unmet
    assert judgement.anomalies == ()


# Bounds and negative controls.


def judged(history: History, **changes: object) -> tuple[Verdict, bool, tuple[str, ...]]:
    header: Header = replace(history.header, **changes)  # type: ignore[arg-type]
    judgement = check(replace(history, header=header))
    return judgement.verdict, judgement.void, judgement.missed


@given(histories())
@thorough
def test_a_bound_that_is_missed_is_invalid(history: History) -> None:
    figures = check(history).figures
    verdict, _, missed = judged(history, pause_at_most_s=figures.pause_s)
    assert (verdict, missed) == (Verdict.VALID, ())
    verdict, _, missed = judged(history, pause_at_most_s=figures.pause_s / 2)
    assert verdict is Verdict.INVALID
    assert "without a successful write" in missed[0]
    measured = replace(history, measured=(Measured("primary_s", 16.5, 15),))
    assert check(measured).missed == ("primary_s is 16.5, at most 15",)


@given(histories())
@thorough
def test_failed_requests_have_a_bound(history: History) -> None:
    failed = check(history).figures.failed
    assert judged(history, failed_at_most=failed)[0] is Verdict.VALID
    if failed:
        assert judged(history, failed_at_most=failed - 1)[0] is Verdict.INVALID


@given(histories(), st.data())
@thorough
def test_a_control_is_void_unless_a_promise_is_broken(
    history: History, data: st.DataObject
) -> None:
    bounds = {"control": "fast", "pause_at_most_s": 0.0}
    assert judged(history, **bounds) == (Verdict.VALID, True, ())
    spoilt = one_of(admit_a_loser(history), data)
    assert judged(spoilt, **bounds) == (Verdict.INVALID, False, ())


@given(histories())
@thorough
def test_a_ticket_is_counted_once_however_often_it_is_lost(history: History) -> None:
    tickets = {o.ticket for o in history.operations if o.answer is Answer.LIVE}
    wrong: Iterable[Operation] = (
        replace(o, answer=Answer.REFUSED)
        if o.ticket in tickets and o.started_us >= LOOK_US and o.kind is not Kind.STATUS
        else o
        for o in history.operations
    )
    judgement = check(replace(history, operations=tuple(wrong)))
    assert judgement.figures.lost == len(tickets)


def test_the_longest_pause_includes_the_end_of_the_load() -> None:
    one = Operation(0, "c", Kind.CREATE, 0, Outcome.OK, Answer.CREATED, 3 * SECOND_US, "t")
    events = (
        Event(0, EventKind.PHASE, Phase.LOAD),
        Event(DRAIN_US, EventKind.PHASE, Phase.DRAIN),
        Event(LOOK_US, EventKind.PHASE, Phase.LOOK),
        Event(END_US, EventKind.PHASE, Phase.END),
    )
    figures = check(History(HEADER, (one,), events)).figures
    assert (figures.pause_s, figures.pause_began_s) == (9.0, 3.0)
    assert check(History(HEADER, (), events)).figures.pause_s == 12.0


@pytest.mark.parametrize(
    ("asks", "words"), [(True, ""), (False, "; for 6.00 s of them nothing was asked: the machine")]
)
def test_a_pause_in_which_the_load_stood_still_itself_is_told_as_such(
    asks: bool, words: str
) -> None:
    def create(at_us: int) -> Operation:
        within = 3 * SECOND_US < at_us < 9 * SECOND_US
        outcome, answer = (
            (Outcome.FAIL, Answer.UNAVAILABLE) if within else (Outcome.OK, Answer.CREATED)
        )
        return Operation(at_us, "c", Kind.CREATE, at_us, outcome, answer, at_us, f"t{at_us}")

    times = [t for t in range(0, DRAIN_US, SECOND_US // 10) if asks or not 3e6 < t < 9e6]
    header = replace(HEADER, pause_at_most_s=3.0)
    events = tuple(
        Event(at_us, EventKind.PHASE, phase)
        for at_us, phase in zip((0, DRAIN_US, LOOK_US, END_US), Phase, strict=True)
    )
    judged = check(History(header, tuple(create(t) for t in times), events))
    [missed] = [each for each in judged.missed if "without" in each]
    told = "6.00 s without a successful write, at most 3 s"
    assert missed.startswith(told + words), missed
    assert judged.verdict is Verdict.INVALID


def test_a_no_that_its_expiry_explains_does_not_show_what_became_of_a_ticket() -> None:
    second_us = 1_000_000
    create = Operation(1, "host", Kind.CREATE, 0, Outcome.OK, Answer.CREATED, 5, "t")
    admitted = replace(
        create,
        id=2,
        kind=Kind.REDEEM,
        answer=Answer.ADMITTED,
        attempt="a",
        started_us=5 * second_us,
        ended_us=5 * second_us,
    )
    refused = replace(admitted, id=3, answer=Answer.REFUSED, started_us=62 * second_us)
    for ttl_s, is_seen in ((30, False), (62, False), (64, True)):
        header = replace(HEADER, ticket_ttl_s=ttl_s, session_ttl_s=ttl_s)
        assert _was_seen([create, refused], 10 * second_us, header) is is_seen
    for ttl_s, is_seen in ((30, False), (57, False), (59, True)):
        header = replace(HEADER, ticket_ttl_s=1, session_ttl_s=ttl_s)
        assert _was_seen([create, admitted, refused], 10 * second_us, header) is is_seen
    live = replace(refused, kind=Kind.VERIFY, answer=Answer.LIVE)
    assert _was_seen([create, admitted, live], 10 * second_us, replace(HEADER, session_ttl_s=1))


@given(histories())
@thorough
def test_bounds_that_were_missed_before_a_drill_was_stopped_stay_missed(history: History) -> None:
    """And what it cut off itself, or came later, is held against nobody."""
    figures = check(history).figures
    stop_us = DRAIN_US
    cut_off = Operation(99_999, "page", Kind.STATUS, stop_us - 5, Outcome.UNKNOWN, Answer.NO_ANSWER)
    stopped = replace(
        history,
        operations=(*history.operations, cut_off),
        events=(*history.events, Event(stop_us, EventKind.STOPPED, "told to end")),
    )
    bounds = {"failed_at_most": figures.failed, "pause_at_most_s": figures.pause_s}
    assert judged(stopped, **bounds)[::2] == (Verdict.UNKNOWN, ())
    verdict, _, missed = judged(stopped, pause_at_most_s=figures.pause_s / 2)
    assert verdict is Verdict.INVALID
    assert "without a successful write" in missed[0]
    measured = replace(stopped, measured=(Measured("stopped_s", 50.0, 40.0),))
    assert check(measured).missed == ("stopped_s is 50, at most 40",)
