"""Which ticket is asked for next, and by whom."""

from __future__ import annotations

import random

from guarita.drill.history import Outcome
from guarita.drill.workload.tickets import RESERVE, RIVALS, Tickets


def tickets(count: int, seed: int = 1) -> Tickets:
    made = Tickets(random.Random(seed))
    for number in range(count):
        made.add(f"t{number}", f"id-{number}")
    return made


def test_each_rival_of_a_ticket_asks_once_and_some_tickets_nobody_asks_for() -> None:
    made, asked = tickets(400), []
    while drawn := made.draw_redeem():
        asked += drawn[1]
    assert len(asked) == len(set(asked))
    names = {attempt.rsplit("-", 1)[0] for attempt in asked}
    assert len(asked) == RIVALS * len(names)
    assert 200 < len(names) < 400


def test_rivals_ask_at_once_and_far_apart() -> None:
    made, draws = tickets(200), {}
    at = 0
    while drawn := made.draw_redeem():
        at += 1
        draws.setdefault(drawn[0].name, []).append((at, len(drawn[1])))
    sizes = {size for each in draws.values() for _, size in each}
    assert sizes == {1, 2, 3}
    assert any(each[-1][0] - each[0][0] > at / 2 for each in draws.values())


def test_the_same_seed_draws_the_same() -> None:
    one, two = tickets(50, seed=7), tickets(50, seed=7)
    draws = [[made.draw_redeem() for _ in range(60)] for made in (one, two)]
    names = [[(t.name, attempts) for t, attempts in each] for each in draws]
    assert names[0] == names[1]


def test_a_session_that_is_about_to_be_revoked_is_verified_by_nobody_any_more() -> None:
    made = tickets(1)
    made.admitted(made.all[0])
    assert made.draw_last_session() is made.all[0]
    assert made.draw_session() is made.draw_last_session() is None


def test_who_was_not_told_is_remembered() -> None:
    ticket = tickets(1).all[0]
    ticket.note("a", Outcome.UNKNOWN, "")
    ticket.note("b", Outcome.OK, "")
    ticket.note("c", Outcome.OK, "token")
    assert (ticket.in_doubt, ticket.attempt, ticket.token) == (["a"], "c", "token")


def test_they_are_few_while_fewer_are_open_than_pages_need_in_an_outage() -> None:
    assert tickets(0).are_few
    assert tickets(RESERVE - 1).are_few
    made = tickets(4 * RESERVE)
    assert not made.are_few
    draws = 0
    while not made.are_few:
        assert made.draw_redeem()
        draws += 1
    while made.draw_redeem():
        draws -= 1
    assert draws > 0
