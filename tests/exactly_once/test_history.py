"""The check finds what must not happen, and nothing in what may."""

from __future__ import annotations

from dataclasses import replace

import pytest

from .history import (
    NOBODY,
    SOMEBODY_ELSE,
    Answer,
    Kind,
    Outcome,
    Ticket,
    Truth,
    check,
    longest_silence_s,
)


def told(outcome: Outcome, started_s: float = 1, ended_s: float = 2) -> Answer:
    return Answer(outcome, started_s, ended_s)


IN = told(Outcome.ACKNOWLEDGED)
USED = told(Outcome.USED)
MISSING = told(Outcome.MISSING)
DOUBTED = told(Outcome.DOUBTED)
FAILED = told(Outcome.FAILED)
UNKNOWN = told(Outcome.UNKNOWN)
STRANGE = told(Outcome.OTHER)

CREATED = told(Outcome.ACKNOWLEDGED, 0, 1)
GOOD = Truth(exists=True, used_by=0, again=Outcome.ACKNOWLEDGED, stranger=Outcome.USED)
GONE = Truth(exists=False)
FREE = Truth(exists=True, used_by=NOBODY)


def held_by(rival: int) -> Truth:
    return Truth(exists=True, used_by=rival)


def kinds(rivals: list[Answer], truth: Truth, created: Answer = CREATED) -> set[Kind]:
    return {each.kind for each in check([Ticket(1, created, tuple(rivals), truth)])}


@pytest.mark.parametrize(
    ("rivals", "truth"),
    [
        ([IN, USED, USED], GOOD),
        ([IN, UNKNOWN, FAILED], GOOD),
        ([UNKNOWN, USED, USED], held_by(0)),
        ([UNKNOWN, UNKNOWN, UNKNOWN], held_by(1)),
        ([UNKNOWN, UNKNOWN, FAILED], FREE),
        ([FAILED, FAILED, FAILED], FREE),
    ],
)
def test_one_admission_is_right_however_the_others_ended(rivals, truth):
    assert kinds(rivals, truth) == set()


@pytest.mark.parametrize("created", [UNKNOWN, FAILED])
def test_a_ticket_that_was_not_acknowledged_may_be_missing(created):
    assert kinds([MISSING, MISSING, UNKNOWN], GONE, created) == set()


def test_two_admissions_are_found():
    assert kinds([IN, IN, USED], GOOD) == {Kind.DOUBLE}


def test_an_admission_after_the_end_is_found():
    assert kinds([IN, USED, USED], replace(GOOD, stranger=Outcome.ACKNOWLEDGED)) == {Kind.DOUBLE}


def test_an_acknowledged_ticket_that_a_rival_does_not_find_is_lost():
    assert kinds([IN, USED, MISSING], GOOD) == {Kind.LOST}


def test_an_acknowledged_ticket_that_does_not_exist_in_the_end_is_lost():
    assert kinds([UNKNOWN, UNKNOWN, UNKNOWN], GONE) == {Kind.LOST}


def test_an_admission_that_the_record_does_not_have_is_found():
    assert kinds([IN, USED, USED], FREE) == {Kind.REOPENED}


def test_an_admission_that_another_took_over_is_found():
    assert kinds([IN, UNKNOWN, USED], held_by(1)) == {Kind.REOPENED}


def test_a_refusal_that_the_record_does_not_explain_is_found():
    assert kinds([UNKNOWN, USED, USED], FREE) == {Kind.REOPENED}


def test_refusals_without_an_admission_are_found():
    assert Kind.BASELESS in kinds([USED, USED, USED], FREE)
    assert Kind.BASELESS in kinds([USED, FAILED, FAILED], FREE)


def test_a_refusal_before_anybody_else_asked_is_found():
    early, late = told(Outcome.USED, 1, 2), told(Outcome.ACKNOWLEDGED, 3, 4)
    assert kinds([late, early, FAILED], GOOD) == {Kind.BASELESS}


@pytest.mark.parametrize("outcome", [USED, FAILED])
def test_who_holds_the_ticket_must_not_have_been_told_otherwise(outcome):
    assert kinds([outcome, UNKNOWN, UNKNOWN], held_by(0)) == {Kind.MISTOLD}


def test_an_attempt_in_the_record_that_nobody_made_is_found():
    assert kinds([UNKNOWN, UNKNOWN, UNKNOWN], held_by(SOMEBODY_ELSE)) == {Kind.MISTOLD}


def test_an_admission_that_is_not_repeated_to_its_attempt_is_found():
    assert kinds([IN, USED, USED], replace(GOOD, again=Outcome.USED)) == {Kind.MISTOLD}


def test_a_ticket_whose_create_was_certainly_not_applied_must_not_exist():
    assert kinds([FAILED, FAILED, FAILED], FREE, FAILED) == {Kind.MISTOLD}


def test_a_doubt_and_a_strange_answer_are_found():
    assert kinds([IN, USED, DOUBTED], GOOD) == {Kind.DOUBTED}
    assert kinds([IN, USED, STRANGE], GOOD) == {Kind.STRANGE}
    assert kinds([IN, USED, USED], GOOD, STRANGE) == {Kind.STRANGE}


def test_the_longest_silence_lies_between_acknowledgements():
    ends = [told(Outcome.ACKNOWLEDGED, 0, end) for end in (1.0, 2.0, 7.5)]
    refused = told(Outcome.USED, 0, 5.0)
    assert longest_silence_s([Ticket(1, ends[0], (ends[1], refused, ends[2]), GOOD)]) == 5.5
