"""When a Sentinel starts again for another certificate."""

from __future__ import annotations

from guarita.node.sentinel_agent import TURN_S, Turn

from .test_forget import S1, S2, S3, SENTINELS, view

ALL = {me: view(me) for me in SENTINELS}


def test_those_that_see_it_at_once_start_again_one_after_another() -> None:
    turns = {me: Turn("old") for me in SENTINELS}
    come = {me: next(s for s in range(100) if turns[me].has_come(me, ALL, "new", s)) for me in ALL}
    assert come == {S1: 0, S2: TURN_S, S3: 2 * TURN_S}


def test_while_another_one_is_away_nobody_starts_again() -> None:
    turn = Turn("old")
    assert not turn.has_come(S2, ALL, "new", 0)
    assert not turn.has_come(S2, ALL | {S1: None}, "new", TURN_S)
    assert not turn.has_come(S2, ALL, "new", TURN_S + 1)  # it counts anew
    assert turn.has_come(S2, ALL, "new", 2 * TURN_S + 1)


def test_the_same_certificate_or_one_that_cannot_be_read_is_no_reason() -> None:
    turn = Turn("old")
    for now in ("old", None):
        assert not turn.has_come(S1, ALL, now, 0)
    assert not turn.has_come(S1, {}, "new", 0)
