"""The count finds what was lost, double, failed or a pause in histories made up for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ..exactly_once.history import Answer, Outcome, Ticket, Truth
from .counting import Count, History, Verify, figures_of
from .sampler import Sample, changes, two_writable_s


def told(outcome: Outcome, ended_s: float = 2.0) -> Answer:
    return Answer(outcome, ended_s - 0.5, ended_s)


CREATED = told(Outcome.ACKNOWLEDGED, 1.0)
IN = told(Outcome.ACKNOWLEDGED)
USED = told(Outcome.USED)
UNKNOWN = told(Outcome.UNKNOWN)
FAILED = told(Outcome.FAILED)
HELD = Truth(exists=True, used_by=0, stranger=Outcome.USED)
FREE = Truth(exists=True)
GONE = Truth(exists=False)


def ticket(*rivals: Answer, truth: Truth = HELD, number: int = 1) -> Ticket:
    return Ticket(number, CREATED, rivals, truth)


def history(*tickets: Ticket, ended_s: float = 2.0) -> History:
    return History(tickets, (), (), (), ended_s)


@pytest.mark.parametrize(
    "each",
    [
        ticket(IN, USED),
        ticket(IN, UNKNOWN),
        ticket(UNKNOWN, USED),
        ticket(UNKNOWN, UNKNOWN, truth=FREE),
        ticket(truth=FREE),
    ],
)
def test_what_may_happen_is_neither_lost_nor_double(each):
    figures = figures_of(history(each))
    assert (figures.lost, figures.double, figures.wrong) == (0, 0, 0)


@pytest.mark.parametrize(
    "each",
    [
        ticket(IN, USED, truth=GONE),  # its session is unknown, and so is the ticket
        ticket(IN, USED, truth=Truth(exists=True)),  # the admission is gone
        ticket(truth=GONE),  # an unused ticket that cannot be redeemed
        ticket(USED, USED, truth=GONE),  # two refusals without an admission
    ],
)
def test_a_lost_ticket_is_counted_once(each):
    figures = figures_of(history(ticket(IN, USED, number=2), each))
    assert figures.lost == 1
    assert "ticket 1: " in " ".join(figures.evidence)


def test_a_session_that_was_acknowledged_and_is_refused_is_a_lost_ticket():
    refused = Verify(1, told(Outcome.MISSING, 3.0))
    assert figures_of(replace(history(ticket(IN, USED)), verifies=(refused,))).lost == 1


def test_two_admissions_are_one_double_ticket():
    assert figures_of(history(ticket(IN, IN))).double == 1


def test_a_stranger_who_is_admitted_in_the_end_is_a_double_admission():
    admitted = Truth(exists=True, used_by=0, stranger=Outcome.ACKNOWLEDGED)
    assert figures_of(history(ticket(IN, USED, truth=admitted))).double == 1


def test_failed_requests_of_every_kind_are_counted_and_the_unknown_among_them():
    some = replace(
        history(ticket(UNKNOWN, FAILED, truth=FREE)),
        creates=(told(Outcome.OTHER), FAILED),
        verifies=(Verify(1, UNKNOWN),),
        counts=(Count(FAILED),),
    )
    figures = figures_of(some)
    assert (figures.requests, figures.failed, figures.unknown) == (7, 6, 2)


def test_a_refused_rival_is_no_failed_request():
    assert figures_of(history(ticket(IN, USED))).failed == 0


def test_the_pause_lies_between_writes_that_were_acknowledged():
    late = told(Outcome.ACKNOWLEDGED, 7.5)
    read = Verify(1, told(Outcome.ACKNOWLEDGED, 5.0))
    refused = told(Outcome.USED, 4.0)
    some = replace(history(ticket(IN, refused), ticket(late, number=2)), verifies=(read,))
    figures = figures_of(some)
    assert (figures.pause_s, figures.pause_began_s) == (5.5, 2.0)


def test_a_pause_that_lasts_until_the_load_ends_counts():
    assert figures_of(history(ticket(IN, USED), ended_s=12.0)).pause_s == 10.0


def test_a_history_without_a_success_is_one_endless_pause():
    assert figures_of(history()).pause_s == float("inf")


def test_a_counter_that_lacks_an_acknowledged_write_is_found():
    first, enough = Count(told(Outcome.ACKNOWLEDGED, 0.5), 10, 5), told(Outcome.ACKNOWLEDGED, 9.0)
    base = replace(history(ticket(IN, USED)), counts=(first, Count(enough, 11, 6)))
    assert figures_of(base).wrong == 0
    assert figures_of(replace(base, counts=(first, Count(enough, 10, 6)))).wrong == 1
    assert figures_of(replace(base, counts=(first, Count(enough, 11, 5)))).wrong == 1


def test_a_counter_may_lose_what_was_not_acknowledged():
    counts = tuple(
        Count(told(Outcome.ACKNOWLEDGED, at_s), created, 0)
        for at_s, created in ((0.5, 0), (1.7, 5), (9.0, 1))
    )
    assert figures_of(replace(history(ticket(truth=FREE)), counts=counts)).wrong == 0


def master(at_s: float, node: str, *, writable: bool = True) -> Sample:
    return Sample(at_s, node, "master", writable=writable)


def test_two_nodes_that_take_writes_at_once_are_seen_and_for_how_long():
    samples = [master(0.0, "a"), master(0.25, "b"), master(0.5, "a"), master(0.625, "b")]
    assert two_writable_s(samples) == 0.375
    assert (
        two_writable_s([master(0.0, "a"), master(0.25, "b", writable=False), master(0.5, "a")]) == 0
    )


def test_a_node_that_went_silent_takes_no_writes_any_more():
    samples = [master(0.0, "a"), master(1.0, "b"), master(2.0, "b")]
    assert two_writable_s(samples) == 0


def test_only_what_changed_is_told():
    samples = [master(0.0, "a"), master(1.0, "a"), Sample(2.0, "a", "slave", 7001, linked=True)]
    assert list(changes(samples)) == [
        (0.0, "a primary, takes writes"),
        (2.0, "a replica of 7001, link up"),
    ]
