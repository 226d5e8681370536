"""A drill with many faults: what is told of each, and which of them is enough to spoil it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drill.making import EACH_US, HEADER, SECOND_US, many, turn_at
from guarita.drill.check import Verdict, check
from guarita.drill.check.anomaly import AnomalyKind
from guarita.drill.history import (
    Event,
    EventKind,
    History,
    Kind,
    Measured,
    Phase,
)
from guarita.drill.lines import Writer, read

TURNS = 3


def lenient(history: History) -> History:
    """Without a bound on what failed: a question for each fault has no answer here."""
    turns = tuple(replace(each, failed_at_most=None) for each in history.turns)
    return replace(history, turns=turns)


def test_each_fault_has_its_pause_and_the_whole_has_one_verdict() -> None:
    judged = check(lenient(many(TURNS)))
    assert judged.verdict is Verdict.VALID, (judged.unmet, judged.missed, judged.anomalies)
    assert [each.node for each in judged.turns] == ["n1", "n2", "n3"]
    for each in judged.turns:
        assert each.pause_s == pytest.approx(2.0, abs=0.21)
        assert each.failed == 1


def test_a_bound_that_one_fault_missed_is_named_with_its_number() -> None:
    history = lenient(many(TURNS))
    from_us = EACH_US + SECOND_US
    slow = tuple(
        each
        for each in history.operations
        if each.kind is not Kind.CREATE or not from_us < each.started_us < from_us + 4 * SECOND_US
    )
    gone = {o.ticket for o in history.operations} - {o.ticket for o in slow if o.kind == "create"}
    judged = check(
        replace(
            history, operations=tuple(o for o in slow if o.ticket not in gone or o.ticket is None)
        )
    )
    assert judged.verdict is Verdict.INVALID
    [missed] = judged.missed
    assert missed.startswith("fault 2 (D2): 4.")
    assert [each.is_good for each in judged.turns] == [True, False, True]


def test_what_failed_and_what_was_measured_is_held_against_its_own_fault() -> None:
    history = many(TURNS)
    assert check(history).missed == tuple(
        f"fault {n} (D2): 1 requests failed, at most 0" for n in (1, 2, 3)
    )
    measured = (Measured("rejoined_s", 1.5, 1.0, 3),)
    assert check(replace(lenient(history), measured=measured)).missed == (
        "fault 3: rejoined_s is 1.5, at most 1",
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (EventKind.FAULT, "fault 2 (D2): no fault was injected"),
        (EventKind.HEAL, "fault 2 (D2): no fault was injected, or it was not healed"),
    ],
)
def test_a_fault_that_was_not_there_makes_the_whole_unknown(kind: EventKind, words: str) -> None:
    history = lenient(many(TURNS))
    inside = range(EACH_US, 2 * EACH_US)
    events = tuple(e for e in history.events if not (e.kind is kind and e.at_us in inside))
    judged = check(replace(history, events=events))
    assert judged.verdict is Verdict.UNKNOWN
    assert any(each.startswith(words) for each in judged.unmet)


def test_a_fault_while_which_nobody_asked_makes_the_whole_unknown() -> None:
    history = lenient(many(TURNS))
    operations = tuple(each for each in history.operations if each.id != 9002)
    assert check(replace(history, operations=operations)).unmet == (
        "fault 2 (D2): nothing was asked while it lasted",
    )


def test_a_fault_that_is_done_in_an_instant_lasts_as_long_as_its_effect() -> None:
    history = lenient(many(TURNS))
    healed = tuple(
        replace(each, at_us=each.at_us - 2 * SECOND_US + 1000)
        if each.kind is EventKind.HEAL
        else each
        for each in history.events
    )
    operations = tuple(
        replace(each, started_us=each.started_us - SECOND_US // 2)
        if each.kind is Kind.STATUS
        else each
        for each in history.operations
    )
    judged = check(replace(history, events=healed, operations=operations))
    assert judged.verdict is Verdict.VALID, judged.unmet


def test_one_fault_after_which_all_was_not_well_is_enough() -> None:
    long_us = 70 * SECOND_US
    history = lenient(many(TURNS))
    last = replace(history.turns[-1], to_us=history.turns[-1].to_us + long_us)
    at_us = history.turns[-1].from_us + 6 * SECOND_US
    events = tuple(
        replace(each, at_us=each.at_us + long_us, text="a replica is down")
        if each.kind is EventKind.HEALTH and each.at_us == at_us
        else each
        for each in history.events
        if each.kind is not EventKind.PHASE
    )
    phases = tuple(
        replace(each, at_us=each.at_us + long_us if each.at_us else 0)
        for each in history.events
        if each.kind is EventKind.PHASE
    )
    judged = check(replace(history, events=(*events, *phases), turns=(*history.turns[:2], last)))
    assert AnomalyKind.UNSETTLED in [each.kind for each in judged.anomalies]


def test_turns_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with Writer(path, HEADER) as writer:
        for number in range(TURNS):
            writer.write(turn_at(number))
    assert read(path).turns == tuple(turn_at(number) for number in range(TURNS))


def test_a_drill_that_was_stopped_is_unknown_and_what_it_found_counts_all_the_same() -> None:
    history = lenient(many(TURNS))
    stopped = Event(2 * EACH_US, EventKind.STOPPED, "the drill was told to end before its time")
    kept = (Phase.LOAD, Phase.END)
    events = (
        *(e for e in history.events if e.kind is not EventKind.PHASE or e.text in kept),
        stopped,
    )
    cut = replace(history, events=events)
    judged = check(cut)
    assert judged.verdict is Verdict.UNKNOWN
    assert "told to end before its time" in judged.unmet[0]
    # The turns before it have their bounds; in the one that it cut off, requests were cut off too.
    bounded = check(replace(cut, turns=many(TURNS).turns))
    assert bounded.verdict is Verdict.INVALID
    assert bounded.missed == tuple(f"fault {n} (D2): 1 requests failed, at most 0" for n in (1, 2))
    again = replace(history.operations[-1], id=99_999, attempt="another", token="another")
    twice = check(replace(cut, operations=(*cut.operations, again)))
    assert (twice.verdict, twice.figures.double) == (Verdict.INVALID, 1)
